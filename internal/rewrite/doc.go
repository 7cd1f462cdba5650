// Package rewrite knows the safe way of a dangerous change of a schema: the
// same end, reached in steps that the running release can live with. It is
// pure: it reads SQL and what is known of the schema, and returns statements.
// It refuses to know how a migration tool names its files, who carries them
// out, and which rules of lint lead to it.
package rewrite
