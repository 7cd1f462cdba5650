package cli_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/cli"
	"github.com/shiplock/shiplock/internal/testneed"
)

// complaints are what systemd says of units. It reads files and starts nothing.
func complaints(t *testing.T, units ...string) string {
	t.Helper()
	verify := testneed.Command(t, "systemd-analyze", "systemd")
	out, err := exec.CommandContext(t.Context(), verify, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	var out, errOut bytes.Buffer
	if code := cli.Run(context.Background(), []string{"install", "--dir", dir, "--data", data}, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	node, server := filepath.Join(dir, "shiplock-node.service"), filepath.Join(dir, "shiplock.service")
	if said := complaints(t, node, server); said != "" {
		t.Errorf("systemd says:\n%s", said)
	}
	text, err := os.ReadFile(node)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string][2]string{
		"a word it does not know":    {"KillMode=process", "KillMode=proces"},
		"a key it does not know":     {"Restart=always", "Restarts=always"},
		"a program that is not here": {"ExecStart=", "ExecStart=/nowhere"},
	} {
		bad := filepath.Join(t.TempDir(), "shiplock-node.service")
		damaged := strings.Replace(string(text), damage[0], damage[1], 1)
		if err := os.WriteFile(bad, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if complaints(t, bad) == "" {
			t.Errorf("systemd does not complain about %s:\n%s", what, damaged)
		}
	}
}

func TestAUnitDoesNotNameWhatItCannot(t *testing.T) {
	data := filepath.Join(t.TempDir(), "with space")
	var out, errOut bytes.Buffer
	if code := cli.Run(context.Background(), []string{"install", "--dry-run", "--data", data}, strings.NewReader(""), &out, &errOut); code != 2 || out.Len() > 0 {
		t.Errorf("exit code %d: %s%s", code, out.String(), errOut.String())
	}
}
