"""A small migration tool over SQLite: tool.py list|json, up ID, down ID."""
import json
import os
import pathlib
import sqlite3
import sys

db = sqlite3.connect(os.environ["DATABASE"], isolation_level=None)
known = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'history'").fetchone()[0]
applied = [row[0] for row in db.execute("SELECT id FROM history")] if known else []
files = sorted(path.stem for path in pathlib.Path("steps").glob("*.sql"))


def run(way):
    name = sys.argv[2]
    up, down = pathlib.Path("steps/%s.sql" % name).read_text().split("-- down\n")
    for statement in (up if way == "up" else down).split(";"):
        db.execute(statement)
    db.execute("CREATE TABLE IF NOT EXISTS history (id text)")
    db.execute("INSERT INTO history VALUES (?)" if way == "up" else "DELETE FROM history WHERE id = ?", (name,))


if sys.argv[1] in ("up", "down"):
    run(sys.argv[1])
elif sys.argv[1] == "json":
    print(json.dumps([{"id": i, "applied": i in applied} for i in sorted(set(files) | set(applied))]))
else:
    print("steps:")
    for i in sorted(set(files) | set(applied)):
        print("[%s] %s" % ("X" if i in applied else " ", i))
