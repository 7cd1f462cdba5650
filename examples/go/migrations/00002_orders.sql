-- +goose Up
CREATE TABLE orders (
    key      TEXT    PRIMARY KEY,
    product  INTEGER NOT NULL,
    release  TEXT    NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1
);

-- +goose Down
DROP TABLE orders;
