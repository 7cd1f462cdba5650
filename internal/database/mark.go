package database

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Since answers [Database].Written for a kind whose marks are of type M: it
// returns now as text, and what since makes of now and the mark in from,
// sorted by table and without those in which nothing was written.
func Since[M any](now M, from string, since func(now, then M) ([]Wrote, error)) (mark string, in []Wrote, err error) {
	text, err := json.Marshal(now)
	if err != nil {
		return "", nil, fmt.Errorf("keep mark of what was written: %w", err)
	}
	if from == "" {
		return string(text), nil, nil
	}
	var then M
	if err := json.Unmarshal([]byte(from), &then); err != nil {
		return "", nil, ship.Errorf(ship.Invalid, "", "read mark of what was written: %w", err)
	}
	in, err = since(now, then)
	in = slices.DeleteFunc(in, func(w Wrote) bool { return w.Rows == 0 })
	slices.SortFunc(in, func(a, b Wrote) int { return strings.Compare(a.Table, b.Table) })
	return string(text), in, err
}
