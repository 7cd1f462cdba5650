package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestAnEntryFindsASecretInTheFileAndThenInTheVariableOfItsName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.env")
	if err := os.WriteFile(file, []byte("IN_FILE=from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{"IN_FILE": "from a variable", "IN_VARIABLE": "from a variable"}
	lookup := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	for _, c := range []struct {
		file, name, want string
		told             []string
	}{
		{file, "IN_FILE", "from the file", nil},
		{file, "IN_VARIABLE", "from a variable", []string{"IN_VARIABLE"}},
		{"", "IN_FILE", "from a variable", []string{"IN_FILE"}},
		{filepath.Join(t.TempDir(), "absent.env"), "IN_VARIABLE", "from a variable", []string{"IN_VARIABLE"}},
	} {
		var told []string
		r, err := config.NewEntryResolver(c.file, lookup, func(name string) { told = append(told, name) })
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Resolve(ship.Value("${secret:" + c.name + "}"))
		if err != nil || got.Reveal() != c.want || !slices.Equal(told, c.told) {
			t.Errorf("%s: %q, %v, told of %v; want %q, told of %v", c.name, got.Reveal(), err, told, c.want, c.told)
		}
	}
	r, err := config.NewEntryResolver(file, lookup, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Resolve("${secret:NOWHERE}")
	if err == nil || !strings.Contains(err.Error(), "neither in a secrets file nor the name of an environment variable") || !strings.Contains(ship.HintOf(err), "NOWHERE") {
		t.Errorf("a secret that is nowhere: %v, %s", err, ship.HintOf(err))
	}
}

func TestAnEntryRefusesASecretsFileThatOthersCanRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.env")
	if err := os.WriteFile(file, nil, 0o644); err != nil { //nolint:gosec // that is what is refused
		t.Fatal(err)
	}
	if _, err := config.NewEntryResolver(file, os.LookupEnv, func(string) {}); err == nil {
		t.Error("it was read")
	}
}
