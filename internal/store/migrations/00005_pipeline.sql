-- A run may wait for its turn, one in an environment. When a run has passed,
-- promotions may follow it; they are due until they are recorded, too.
-- +goose Up
ALTER TABLE runs ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
CREATE INDEX promotions_due ON runs (seq) WHERE due = 1;
CREATE UNIQUE INDEX one_queued_run_per_environment ON runs (app, env) WHERE status = 'queued';

-- Locks of environments. One that holds no longer stays, for those who ask
-- what happened.
CREATE TABLE locks (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	app         TEXT NOT NULL,
	env         TEXT NOT NULL,
	reason      TEXT NOT NULL,
	actor       TEXT NOT NULL,
	at          TEXT NOT NULL,
	until       TEXT NOT NULL DEFAULT '', -- '' is until it is unlocked
	unlocked_by TEXT NOT NULL DEFAULT '',
	unlocked_at TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX one_lock_per_environment ON locks (app, env) WHERE unlocked_at = '';

-- +goose Down
DROP TABLE locks;
DROP INDEX one_queued_run_per_environment;
DROP INDEX promotions_due;
ALTER TABLE runs DROP COLUMN due;
