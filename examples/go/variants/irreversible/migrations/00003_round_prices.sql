-- +goose Up
UPDATE products SET price = price / 100 * 100;
