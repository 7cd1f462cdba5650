package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The benchmark is also the test: it fails when an answer was incomplete, a
// POST was lost or doubled, or a stream was cut in the middle of a message. In
// its full length it is `go run ./bench/swap`.
func TestSwapsUnderAMixedLoadLoseNothing(t *testing.T) {
	bench := filepath.Join(t.TempDir(), "swap")
	build := exec.Command("go", "build", "-o", bench, "../bench/swap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), bench, "-shiplock", binary, "-rate", "100", "-swaps", "10", "-rounds", "2", "-for", "30s", "-streams", "10")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%v", err)
	}
	t.Logf("%s", &out)
}
