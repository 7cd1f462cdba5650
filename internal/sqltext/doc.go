// Package sqltext reads SQL as text: it splits a script into statements for
// PostgreSQL and SQLite, says what the head of a statement is about, and finds
// what the author of a migration declared in a comment. It knows the lexical
// rules of both dialects and the shape of the statements that change a schema;
// it refuses to know grammar beyond that, names of real objects, or whether a
// statement is safe.
package sqltext
