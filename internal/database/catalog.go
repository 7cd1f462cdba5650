package database

import "errors"

// ErrNoTable is returned by Rows when the table asked for does not exist.
var ErrNoTable = errors.New("no such table")

// A Catalog is a snapshot of a schema. Objects are listed by kind and name;
// what one is made of is text whose equality means the objects are the same.
type Catalog struct {
	Objects []Object `json:"objects"` // sorted by Kind, Name
}

// An Object is one thing in a schema.
type Object struct {
	Kind string `json:"kind"` // "table", "order" (of its columns), "column", "index", "constraint", "view", "function", "trigger", "policy", "grant", "sequence", "enum", "extension" …
	Name string `json:"name"` // "public.product", "public.product.price"
	Text string `json:"text"` // definition, normalised
}

// A Difference is an object that is not the same in two catalogs.
type Difference struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Before string `json:"before,omitempty"` // "" when it was added
	After  string `json:"after,omitempty"`  // "" when it was removed
}
