-- Whoever asked for a run and got no answer asks again, with the same key.
-- +goose Up
ALTER TABLE runs ADD COLUMN key TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX one_run_per_key ON runs (key) WHERE key <> '';

-- +goose Down
DROP INDEX one_run_per_key;
ALTER TABLE runs DROP COLUMN key;
