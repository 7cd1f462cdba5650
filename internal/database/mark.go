package database

import (
	"encoding/json"
	"fmt"

	"github.com/shiplock/shiplock/internal/ship"
)

// Since answers [Database].Written for a kind whose marks are of type M: it
// returns now as text, and what since makes of now and the mark in from, or
// 0 rows when from is "".
func Since[M any](now M, from string, since func(now, then M) (int64, error)) (mark string, rows int64, err error) {
	text, err := json.Marshal(now)
	if err != nil {
		return "", 0, fmt.Errorf("keep mark of what was written: %w", err)
	}
	if from == "" {
		return string(text), 0, nil
	}
	var then M
	if err := json.Unmarshal([]byte(from), &then); err != nil {
		return "", 0, ship.Errorf(ship.Invalid, "", "read mark of what was written: %w", err)
	}
	rows, err = since(now, then)
	return string(text), rows, err
}
