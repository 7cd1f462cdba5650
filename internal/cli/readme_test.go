package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/cli"
)

func TestEveryCommandThatTheDocumentsNameIsThere(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	command := regexp.MustCompile("(?m)(?:`|^    (?:sudo )?)shiplock ((?:[a-z]+ ?){1,3})")
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			named[strings.Fields(m[1])[0]] = page
		}
	}
	if len(named) < 15 {
		t.Fatalf("only %d commands were found in the documents", len(named))
	}
	for name, page := range named {
		var out, errOut bytes.Buffer
		code := cli.Run(t.Context(), []string{name, "--help"}, strings.NewReader(""), &out, &errOut)
		if code != 0 || !strings.Contains(out.String(), "Usage:\n  shiplock "+name) { // else it is the help of shiplock itself
			t.Errorf("%s names shiplock %s, whose help ends with %d: %s", page, name, code, errOut.String())
		}
	}
}
