-- +goose Up
CREATE TABLE releases (
	app        TEXT NOT NULL,
	number     INTEGER NOT NULL,
	digest     TEXT NOT NULL,
	artifact   TEXT NOT NULL, -- JSON of ship.Artifact
	migrations TEXT NOT NULL, -- JSON of []ship.Migration
	created_at TEXT NOT NULL,
	created_by TEXT NOT NULL,
	PRIMARY KEY (app, number),
	UNIQUE (app, digest)
);

CREATE TABLE runs (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	app        TEXT NOT NULL,
	env        TEXT NOT NULL,
	request    TEXT NOT NULL, -- JSON of store.Request, never changed
	plan       TEXT NOT NULL, -- JSON of ship.Plan, frozen by the step that completes it
	status     TEXT NOT NULL,
	epoch      INTEGER NOT NULL DEFAULT 0,
	result     TEXT NOT NULL DEFAULT '', -- JSON of ship.Result once ended or paused
	created_at TEXT NOT NULL,
	ended_at   TEXT NOT NULL DEFAULT ''
);
-- One run per environment: a second one is refused by the database itself.
CREATE UNIQUE INDEX one_run_per_environment ON runs (app, env)
	WHERE status IN ('planned', 'running', 'undoing', 'paused');

CREATE TABLE steps (
	run        TEXT NOT NULL REFERENCES runs (id),
	seq        INTEGER NOT NULL,
	name       TEXT NOT NULL,
	state      TEXT NOT NULL, -- started, done, failed, undoing, undone
	attempt    INTEGER NOT NULL,
	epoch      INTEGER NOT NULL,
	evidence   TEXT NOT NULL DEFAULT '', -- JSON, what the step found or did
	error      TEXT NOT NULL DEFAULT '',
	started_at TEXT NOT NULL,
	ended_at   TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (run, seq)
);

CREATE TABLE events (
	run  TEXT NOT NULL REFERENCES runs (id),
	seq  INTEGER NOT NULL,
	at   TEXT NOT NULL,
	type TEXT NOT NULL,
	step TEXT NOT NULL,
	text TEXT NOT NULL,
	data TEXT NOT NULL,
	PRIMARY KEY (run, seq)
);

-- Signals are buffered and consumed once.
CREATE TABLE signals (
	id   INTEGER PRIMARY KEY AUTOINCREMENT,
	run  TEXT NOT NULL REFERENCES runs (id),
	name TEXT NOT NULL,
	data TEXT NOT NULL,
	actor TEXT NOT NULL,
	at   TEXT NOT NULL
);

-- What serves in an environment, as the last run that ended there left it.
CREATE TABLE deployed (
	app      TEXT NOT NULL,
	env      TEXT NOT NULL,
	seq      INTEGER NOT NULL, -- 1, 2, 3 … ; the highest is current
	release  INTEGER NOT NULL,
	run      TEXT NOT NULL,
	settings TEXT NOT NULL, -- JSON of ship.Environment
	at       TEXT NOT NULL,
	PRIMARY KEY (app, env, seq)
);

-- The newest settings each environment was used with.
CREATE TABLE environments (
	app      TEXT NOT NULL,
	env      TEXT NOT NULL,
	settings TEXT NOT NULL,
	PRIMARY KEY (app, env)
);
