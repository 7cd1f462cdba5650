-- +goose Up
CREATE TABLE products (
    id    INTEGER PRIMARY KEY,
    name  TEXT    NOT NULL,
    price INTEGER NOT NULL
);
INSERT INTO products (name, price) VALUES ('Rope', 1900), ('Anchor', 24900), ('Lantern', 5900);

-- +goose Down
DROP TABLE products;
