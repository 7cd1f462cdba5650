package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestThePageHasWhatWasMeasuredAndSaysWhatWasNot(t *testing.T) {
	text, err := page(fstest.MapFS{"proxy.md": {Data: []byte("Measured today.\n\n# A heading\n\n| a | b |\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| a | b |", "### A heading", "go run ./bench/swap", "Not measured yet."} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

func TestAPageOfNothingIsNotWritten(t *testing.T) {
	if text, err := page(fstest.MapFS{}); err == nil {
		t.Errorf("wrote %s", text)
	}
}
