-- +goose Up
ALTER TABLE products DROP COLUMN price;

-- +goose Down
ALTER TABLE products ADD COLUMN price INTEGER NOT NULL DEFAULT 0;
