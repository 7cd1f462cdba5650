-- shiplock: phase=expand reason="adds a column, and misbehaves on purpose"
-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE orders ADD COLUMN note TEXT;
INSERT INTO no_such_table VALUES (1);

-- +goose Down
ALTER TABLE orders DROP COLUMN note;
