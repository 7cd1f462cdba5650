package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/testneed"
)

func TestEveryWayFillsEveryRow(t *testing.T) {
	testneed.Postgres(t)
	var out, errOut bytes.Buffer
	if err := run(t.Context(), []string{"-rows", "2000", "-before", "1s", "-rate", "50"}, &out, &errOut); err != nil {
		t.Fatal(err)
	}
	for _, w := range ways() {
		if !strings.Contains(out.String(), "| "+w.name+" |") {
			t.Errorf("no line for %s: %s", w.name, out.String())
		}
	}
}
