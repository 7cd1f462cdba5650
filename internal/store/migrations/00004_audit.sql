-- Who asked for what, and what became of it. Each line has the hash of the one
-- before it, so that none can be changed or taken out without a trace.
-- +goose Up
CREATE TABLE audit (
	seq     INTEGER PRIMARY KEY,
	at      TEXT NOT NULL,
	actor   TEXT NOT NULL,
	says    TEXT NOT NULL,
	action  TEXT NOT NULL,
	app     TEXT NOT NULL,
	env     TEXT NOT NULL,
	detail  TEXT NOT NULL,
	outcome TEXT NOT NULL,
	prev    TEXT NOT NULL,
	hash    TEXT NOT NULL
);

-- +goose Down
DROP TABLE audit;
