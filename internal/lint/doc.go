// Package lint says what a migration would do to a database that is in use:
// which locks it takes, whether it reads or writes whole tables, and whether
// the release that runs can live with it. It is the seam for rules, which are
// a package below it. It reads text and what a migration tool can tell; it
// refuses to open a database, so that what it cannot read it does not call
// safe.
//
// Changes of rows that exist need a declaration, since text does not show how
// many there are and what the running release makes of them; rows put into a
// table that the same release creates do not.
package lint
