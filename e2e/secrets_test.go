package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noSecretShows looks for a secret everywhere it has no business: our state,
// journal, events, logs of server and node, backups and command lines.
func noSecretShows(t *testing.T, p *project, canary string) {
	t.Helper()
	err := filepath.WalkDir(p.w.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return nil // a socket, or gone meanwhile
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte(canary)) && !handed(path) {
			t.Errorf("the secret is in %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(canary)) {
			t.Errorf("the secret is in %s: %q", path, b)
		}
	}
}

// handed tells whether a file is where the node keeps what it hands to the
// instances it may have to start again; only its owner can read those.
func handed(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().Perm()&0o077 == 0 && strings.Contains(path, "secrets")
}
