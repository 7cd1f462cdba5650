package database

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// An Observer is a [Database] that can tell who has transactions open.
type Observer interface {
	// OpenTransactions returns the transactions of others that have been open
	// for longer than that, the oldest first, as far as we may see them.
	OpenTransactions(ctx context.Context, longer time.Duration) ([]Transaction, error)
}

// A Transaction is one that somebody has open.
type Transaction struct {
	PID         int64
	Application string // as it calls itself; "" is none
	User        string
	State       string // "active", "idle in transaction"
	Age         time.Duration
	Query       time.Time // when its last statement began; zero is not known
	Snapshot    bool      // it sees the rows of a moment, which CONCURRENTLY waits for
	Tables      []string  // it has locks on, with their schema
}

// Uses tells whether the transaction has a lock on one of the tables, which
// are with their schema or in "public".
func (t Transaction) Uses(tables []string) bool {
	return slices.ContainsFunc(t.Tables, func(used string) bool {
		return slices.ContainsFunc(tables, func(name string) bool { return used == name || used == "public."+name })
	})
}

// String says who it is.
func (t Transaction) String() string {
	application := t.Application
	if application == "" {
		application = "unnamed"
	}
	text := fmt.Sprintf("pid %d (%s, user %s, %s), in a transaction for %s", t.PID, application, t.User, t.State, t.Age.Round(time.Second))
	if !t.Query.IsZero() {
		text += ", whose last statement began at " + t.Query.UTC().Format(time.RFC3339)
	}
	return text
}
