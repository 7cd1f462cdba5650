// Package backfill moves data in small steps while an application is at work
// on it. It knows how a release declares a backfill, how large the next batch
// may be, when to wait, and when a backfill is done; it goes through the
// database seam and decides nothing about runs. The cursor is not kept here:
// the database moves it in the transaction of each batch.
package backfill
