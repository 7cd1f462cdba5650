package node_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
)

// What a node does to processes is shown in platform/process, where it runs in
// a process of its own. Here it runs in the test's.

func TestANodeThatIsNotThereIsUnreachable(t *testing.T) {
	_, err := node.NewClient(filepath.Join(t.TempDir(), "node.sock")).Info(t.Context())
	if ship.KindOf(err) != ship.Unreachable || ship.HintOf(err) == "" {
		t.Errorf("got %v of kind %s, hint %q", err, ship.KindOf(err), ship.HintOf(err))
	}
}

func TestANodeEndsWithItsContextAndKeepsItsState(t *testing.T) {
	dir, err := os.MkdirTemp("", "node-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	id := ship.EnvironmentID{App: "shop", Name: "dev"}
	var first ship.Fence
	for _, run := range []string{"run-1", "run-2"} {
		client, end := start(t, dir)
		f, err := client.Acquire(t.Context(), id, ship.Claim{Run: run, Holder: "ada", Reason: "test", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if f.Epoch <= first.Epoch {
			t.Errorf("epoch %d after %d", f.Epoch, first.Epoch)
		}
		first = f
		if err := client.Release(t.Context(), id, f); err != nil {
			t.Fatal(err)
		}
		end()
	}
}

func TestNamesThatAreNoFolderNamesAreRefused(t *testing.T) {
	dir, err := os.MkdirTemp("", "node-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	client, _ := start(t, dir)
	for _, name := range []string{"..", ".", "a/b", "a\x00b", strings.Repeat("a", 64), "-a", "a b"} {
		id := ship.EnvironmentID{App: "shop", Name: name}
		if _, err := client.Acquire(t.Context(), id, ship.Claim{Run: "run-1", TTL: time.Minute}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if found, err := filepath.Glob(filepath.Join(dir, "apps", "*")); err != nil || len(found) != 0 {
		t.Errorf("folders %v were made, %v", found, err)
	}
}

// start runs a node until end is called or the test ends.
func start(t *testing.T, dir string) (client *node.Client, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- node.Run(ctx, node.Options{Dir: dir, WorkerCommand: []string{"/bin/false"}, JobCommand: []string{"/bin/false"}})
	}()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node ended with %v", err)
		}
	}
	t.Cleanup(end)
	client = node.NewClient(node.Socket(dir))
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := client.Info(t.Context()); err == nil {
			return client, end
		}
		if time.Now().After(deadline) {
			t.Fatal("the node does not answer")
		}
		<-time.After(5 * time.Millisecond)
	}
}
