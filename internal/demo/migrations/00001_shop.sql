-- +goose Up
CREATE TABLE products (
    id    INTEGER PRIMARY KEY,
    name  TEXT    NOT NULL,
    price INTEGER NOT NULL
);
CREATE TABLE orders (
    number  INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL,
    product INTEGER NOT NULL,
    release TEXT    NOT NULL
);
INSERT INTO products (name, price) VALUES ('Rope', 1900), ('Anchor', 24900), ('Lantern', 5900);

-- +goose Down
DROP TABLE orders;
DROP TABLE products;
