-- What sort of failure ended a step, so that a run that is taken up again
-- ends as it would have.
-- +goose Up
ALTER TABLE steps ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN hint TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE steps DROP COLUMN hint;
ALTER TABLE steps DROP COLUMN kind;
