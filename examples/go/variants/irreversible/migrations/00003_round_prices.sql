-- shiplock: phase=backfill reason="version 1 shows whatever price is there"
-- +goose Up
UPDATE products SET price = price / 1000 * 1000;
