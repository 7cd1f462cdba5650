package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/shiplock/shiplock/internal/audit"
)

// audited fails the test unless the audit log has who asked for the run, and
// shows when somebody changes what it says.
func (p *project) audited(run string) {
	t := p.w.t
	t.Helper()
	us, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) (string, int) {
		return p.w.run(append(append([]string{"audit"}, args...), "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"))...)
	}
	exported, code := ask("export")
	found := false
	for dec := json.NewDecoder(strings.NewReader(exported)); code == 0 && dec.More(); {
		var e audit.Entry
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		found = found || strings.HasSuffix(e.Outcome, ": run "+run+" planned") && e.Actor == fmt.Sprintf("%s (uid %s)", us.Username, us.Uid) && e.Where() == "shop/production"
	}
	if !found {
		t.Errorf("the audit log does not say who asked for run %s: exit code %d: %s", run, code, exported)
	}
	said, code := ask("verify")
	if code != 0 || !strings.Contains(said, "entries are as written") {
		t.Errorf("audit verify: exit code %d: %s", code, said)
	}
	forged := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(forged, bytes.Replace([]byte(exported), []byte(us.Username+" (uid"), []byte("mallory (uid"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, code := ask("verify", forged); code != 3 || !strings.Contains(said, "cannot be trusted: entry 1 (release by mallory") {
		t.Errorf("verify of a forged log: exit code %d: %s", code, said)
	}
	if said, code := ask("verify", "--head", strings.Repeat("0", 64)); code != 3 || !strings.Contains(said, "its end was cut off") {
		t.Errorf("verify against another head: exit code %d: %s", code, said)
	}
	if said, code := ask("production"); code != 0 || !strings.Contains(said, "run "+run) {
		t.Errorf("audit: exit code %d: %s", code, said)
	}
}
