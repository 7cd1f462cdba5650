"""Tells what Alembic knows of a project's revisions, as one line of JSON.

Fed to "python -" in the release's folder, with the arguments
MODE FLAVOR PLACE APP REVISION. FLAVOR is "alembic", then PLACE is the ini file,
or "flask", then PLACE is the folder of Flask-Migrate ("" is the app's own) and
APP what FLASK_APP would be. It changes nothing: the project's env.py is run as
"alembic current" runs it, and statements that could write are refused.

    list     every revision, in order of application, and every problem
    up       what "upgrade REVISION" would do
    down     the target of "downgrade TARGET" that takes back REVISION alone
    observe  whether REVISION is applied according to alembic_version
"""
import ast
import hashlib
import io
import json
import os
import re
import sys

# The project may print what it likes while it is loaded; only the answer goes
# to the real standard output.
answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

MODE, FLAVOR, PLACE, APP, REVISION = sys.argv[1:6]
SQL_LIMIT = 512 * 1024  # of all revisions together
READING = re.compile(r"\s*(SELECT|SHOW|PRAGMA)\b", re.I)
# What ends the transaction around a revision or runs outside of it.
LEAVES_TRANSACTION = re.compile(r"autocommit_block|concurrently|isolation_level|\bautocommit\b|\bcommit\b", re.I)
sys.argv = ["alembic", "current"]


def finish(answer):
    json.dump(answer, answer_to)
    answer_to.write("\n")
    answer_to.flush()


def main():
    if FLAVOR == "alembic":
        from alembic.config import Config

        return answer_for(Config(PLACE))
    from flask.cli import ScriptInfo, load_dotenv

    load_dotenv()
    app = ScriptInfo(app_import_path=APP or os.environ.get("FLASK_APP")).load_app()
    with app.app_context():
        return answer_for(app.extensions["migrate"].migrate.get_config(PLACE or None))


def answer_for(config):
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy.exc import InterfaceError, OperationalError

    script = ScriptDirectory.from_config(config)
    seen = []

    def look(heads, context):
        seen.append(context)
        refuse_writes(context.connection)
        context.shiplock_heads = tuple(context.get_current_heads())
        return []

    with EnvironmentContext(config, script, fn=look, dont_mutate=True):
        try:
            script.run_env()
        except (InterfaceError, OperationalError) as error:
            if seen:
                raise
            return finish({"unreachable": str(error.orig).strip()})
        if len(seen) != 1:
            raise SystemExit("env.py migrates %d databases, and only one can be followed" % len(seen))
        finish(answer(Database(script, seen[0])))


def refuse_writes(connection):
    from sqlalchemy import event

    @event.listens_for(connection, "before_cursor_execute")
    def check(conn, cursor, statement, parameters, context, executemany):
        if not READING.match(statement):
            raise PermissionError("planning must not write, but wants to: %.200s" % statement)


class Database:
    """The revisions of the release beside what the database has of them."""

    def __init__(self, script, context):
        self.script, self.context = script, context
        self.heads = context.shiplock_heads
        self.problem = ""
        try:
            self.revisions = list(script.walk_revisions("base", "heads"))[::-1]
        except Exception as error:  # a revision can fail to load in any way
            self.revisions = []
            self.problem = "Alembic cannot load the revisions: %s: %s" % (type(error).__name__, error)
        self.by_id = {rev.revision: rev for rev in self.revisions}
        self.unknown = [head for head in self.heads if head not in self.by_id]
        self.applied = self.with_ancestors(self.heads)

    def with_ancestors(self, ids):
        found, left = set(), [i for i in ids if i in self.by_id]
        while left:
            current = left.pop()
            if current not in found:
                found.add(current)
                left.extend(i for i in needs(self.by_id[current]) if i in self.by_id)
        return found


def needs(rev):
    return list(rev._all_down_revisions)


def answer(db):
    return {"list": listing, "up": plan_up, "down": plan_down, "observe": observation}[MODE](db)


def listing(db):
    answer = {"heads": db.heads, "unknown": db.unknown, "problems": [], "revisions": []}
    if db.problem:
        answer["problems"].append(db.problem)
        return answer
    heads = [db.by_id[head] for head in db.script.get_heads()]
    if len(heads) > 1 and not all(head.branch_labels for head in heads):
        answer["problems"].append("there are %d heads (%s): merge them with \"merge heads\"" % (
            len(heads), ", ".join("%s in %s" % (h.revision, relative(h.module.__file__)) for h in heads)))
    left = SQL_LIMIT
    for rev in db.revisions:
        described = describe(db, rev, left)
        left -= len(described["sql"])
        answer["revisions"].append(described)
    return answer


def relative(path):
    return os.path.relpath(os.path.realpath(path), os.path.realpath(os.getcwd()))


def describe(db, rev, left):
    with open(rev.module.__file__, "rb") as file:
        text = file.read()
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    up = functions.get("upgrade")
    operations = [word(node) for node in ast.walk(up) if is_operation(node)] if up else []
    applied = rev.revision in db.applied
    sql = "" if applied else render(db, rev, left, operations)
    return {
        "id": rev.revision,
        "file": relative(rev.module.__file__),
        "checksum": "sha256:" + hashlib.sha256(text).hexdigest(),
        "applied": applied,
        "atomic": is_atomic(db, text.decode("utf-8", "replace")),
        "whyNot": why_not_down(functions),
        "operations": operations,
        "needs": needs(rev),
        "sql": sql,
    }


def is_atomic(db, text):
    return bool(db.context.impl.transactional_ddl) and not LEAVES_TRANSACTION.search(text)


def statements(function):
    """The body without what does nothing: a docstring, pass, an ellipsis."""
    return [s for s in function.body
            if not isinstance(s, ast.Pass) and not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


def why_not_down(functions):
    """Alembic has no mark for it: an empty downgrade "succeeds"."""
    up, down = functions.get("upgrade"), functions.get("downgrade")
    if down is None:
        return "it has no downgrade()"
    body = statements(down)
    if not body and up is not None and statements(up):
        return "its downgrade() does nothing"
    for statement in body:
        if isinstance(statement, ast.Raise):
            return "its downgrade() raises " + describe_raise(statement)
    return ""


def describe_raise(statement):
    error = statement.exc
    if isinstance(error, ast.Call):
        text = [a.value for a in error.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        return "%s%s" % (describe_name(error.func), ": " + text[0] if text else "")
    return describe_name(error)


def describe_name(node):
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "an error")


def is_operation(node):
    return (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name) and node.func.value.id in ("op", "batch_op"))


def word(call):
    """For example "add_column product.subtitle"."""
    names, many = [], {"execute": 0, "add_column": 2, "drop_column": 2, "alter_column": 2}
    for arg in call.args[:many.get(call.func.attr, 1)]:
        if isinstance(arg, ast.Call) and arg.args:
            arg = arg.args[0]
        if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
            names.append(arg.value)
    return " ".join([call.func.attr] + ([".".join(names)] if names else []))


def render(db, rev, left, operations):
    """The SQL of upgrade(), as "upgrade --sql" would print it but without the
    rows of alembic_version. What needs to read the database has none."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    out = io.StringIO()
    offline = MigrationContext.configure(
        dialect_name=db.context.dialect.name, dialect_opts={"paramstyle": "named"},
        opts={"as_sql": True, "output_buffer": out, "literal_binds": True})
    try:
        with Operations.context(offline):
            rev.module.upgrade()
    except Exception as error:
        operations.append("SQL not shown: %s: %.300s" % (type(error).__name__, error))
        return ""
    if len(out.getvalue()) > left:
        operations.append("SQL not shown: longer than %d bytes together" % SQL_LIMIT)
        return ""
    return out.getvalue().strip()


def plan_up(db):
    wanted = db.with_ancestors([REVISION])
    return {"problem": problem(db), "applied": REVISION in db.applied,
            "plan": [rev.revision for rev in db.revisions if rev.revision in wanted - db.applied]}


def problem(db):
    if db.problem:
        return db.problem
    if REVISION not in db.by_id:
        return "the release has no revision %s" % REVISION
    if db.unknown:
        return "the database is at %s, of which the release has no file" % ", ".join(db.unknown)
    return ""


def plan_down(db):
    """Alembic goes back to a revision, not from one, and takes every branch
    along that begins there unless the target names one ("branch@target"). The
    first target whose plan is REVISION alone is taken; otherwise the last shows
    what else would go."""
    answer = {"problem": problem(db), "applied": REVISION in db.applied, "plan": [], "target": ""}
    if answer["problem"] or not answer["applied"]:
        return answer
    rev = db.by_id[REVISION]
    for previous in list(rev._versioned_down_revisions) or ["base"]:
        for target in (previous, "%s@%s" % (REVISION, previous)):
            answer["plan"] = [step.revision.revision for step in db.script._downgrade_revs(target, db.heads)]
            if answer["plan"] == [REVISION]:
                answer["target"] = target
                return answer
    return answer


def observation(db):
    found = problem(db)
    return {"problem": found, "applied": REVISION in db.applied, "heads": db.heads,
            "atomic": not found and describe(db, db.by_id[REVISION], 0)["atomic"]}


main()
