package rules

import (
	"embed"
	"strings"
)

//go:embed testdata/*.txt
var golden embed.FS

// Examples returns SQL in which a rule finds something, and SQL in which it
// does not. They are the rule's golden file.
func Examples(id string) (bad, good string) {
	data, err := golden.ReadFile("testdata/" + id + ".txt")
	if err != nil {
		return "", ""
	}
	parts := sections(string(data))
	return parts["bad"], parts["good"]
}

// sections cuts a golden file at its lines "== name".
func sections(text string) map[string]string {
	all := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "== "); ok {
			name = n
			continue
		}
		all[name] += line
	}
	return all
}
