// Package audit is the form of the audit log: what an entry says, and how each
// one is chained to the one before it. It knows neither where entries are kept
// nor what was asked for, and it cannot tell that the end of a log was cut off:
// for that somebody has to remember a hash.
package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Asked is the outcome of an entry that was written before anything was done.
const Asked = "asked"

// Entry is one line of the log: somebody asks for a change, or what became of
// it.
type Entry struct {
	Seq     int64     `json:"seq"` // 1, 2, 3 … without a gap
	At      time.Time `json:"at"`  // UTC
	Actor   string    `json:"actor"`
	Says    string    `json:"says,omitempty"` // whom the client says it acts for; nobody has proved it
	Action  string    `json:"action"`         // "deploy", "rollback", "restore" …
	App     string    `json:"app,omitempty"`
	Env     string    `json:"env,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	Outcome string    `json:"outcome"` // "asked"; or "answers N: " and how the request of entry N ended
	Prev    string    `json:"prev"`    // hash of the entry before, "" for the first
	Hash    string    `json:"hash"`
}

// Sum returns the hash that the entry must have: SHA-256, in hexadecimal, over
// its fields but the hash itself, in the order of the struct, each as its
// length in bytes in decimal, a colon, its text and a comma. The time is text
// as in RFC 3339 with nanoseconds.
func (e Entry) Sum() string {
	h := sha256.New()
	for _, field := range []string{strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339Nano), e.Actor, e.Says, e.Action, e.App, e.Env, e.Detail, e.Outcome, e.Prev} {
		fmt.Fprintf(h, "%d:%s,", len(field), field)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Where names the environment, if there is one: "shop/production".
func (e Entry) Where() string {
	if e.Env == "" {
		return e.App
	}
	return e.App + "/" + e.Env
}

// A Chain is looked through entry by entry, from the first. Its zero value has
// seen none.
type Chain struct {
	Seq  int64  // of the last entry
	Hash string // of the last entry
}

// Add checks the next entry. Its error says what is wrong with it.
func (c *Chain) Add(e Entry) error {
	switch {
	case e.Seq > c.Seq+1:
		return fmt.Errorf("%s missing: entry %d (%s) follows entry %d", missing(c.Seq+1, e.Seq-1), e.Seq, e.title(), c.Seq)
	case e.Seq != c.Seq+1:
		return fmt.Errorf("entry %d (%s) comes after entry %d", e.Seq, e.title(), c.Seq)
	case e.Sum() != e.Hash:
		return fmt.Errorf("entry %d (%s) was changed: its hash is %s, its text has %s", e.Seq, e.title(), short(e.Hash), short(e.Sum()))
	case e.Prev != c.Hash:
		return fmt.Errorf("entry %d was written anew: entry %d (%s) was chained to %s, and it has %s", c.Seq, e.Seq, e.title(), short(e.Prev), short(c.Hash))
	}
	c.Seq, c.Hash = e.Seq, e.Hash
	return nil
}

func (e Entry) title() string {
	return fmt.Sprintf("%s by %s, %s", e.Action, e.Actor, e.At.UTC().Format(time.RFC3339))
}

func missing(from, to int64) string {
	if from == to {
		return fmt.Sprintf("entry %d is", from)
	}
	return fmt.Sprintf("entries %d to %d are", from, to)
}

func short(hash string) string { return cmp.Or(hash[:min(len(hash), 16)], "none") }
