// Package migratetest is what every migration tool has to satisfy, checked with
// a real project of the tool, and what such a test needs: real databases behind
// a [migrate.Session] and a runner of real commands. It knows no tool.
package migratetest
