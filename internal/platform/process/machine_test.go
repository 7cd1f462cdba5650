package process_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/platform/platformtest"
	"github.com/shiplock/shiplock/internal/platform/process"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

const patience = 30 * time.Second

var shop = ship.EnvironmentID{App: "shop", Name: "production"}

// A machine is a node in a process of its own, and an application for it.
type machine struct {
	*process.Platform
	dir    string
	listen string
	ticks  string
	edit   func(*platform.Spec) // changes every release's spec

	mu    sync.Mutex
	node  *exec.Cmd
	log   *os.File
	packs map[int]packed
}

type packed struct {
	artifact ship.Artifact
	zip      []byte
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	t.Parallel()
	dir, err := os.MkdirTemp("", "node-") // a socket's path must be short
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m := &machine{dir: filepath.Join(dir, "n"), listen: l.Addr().String(), ticks: filepath.Join(dir, "ticks"), packs: map[int]packed{}}
	must(t, l.Close())
	must(t, os.Chmod(dir, 0o755))
	m.log, err = os.Create(filepath.Join(dir, "log"))
	must(t, err)
	m.Platform, err = process.New(process.Config{Socket: node.Socket(m.dir)}, plugin.Deps{})
	must(t, err)
	m.start(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		http.DefaultClient.CloseIdleConnections() // the worker waits for them
		if err := m.Shutdown(ctx); err != nil {
			t.Errorf("shut the node down: %v", err)
			_ = m.node.Process.Kill()
		}
		_ = m.node.Wait()
		text, _ := os.ReadFile(m.log.Name())
		if bytes.Contains(text, []byte("DATA RACE")) {
			t.Error("the node has a data race")
		}
		if t.Failed() {
			t.Logf("the node's log:\n%s", text)
		}
		_ = m.log.Close()
		_ = os.RemoveAll(dir)
	})
	return m
}

// start starts the node and returns when it answers.
func (m *machine) start(t *testing.T) {
	t.Helper()
	m.node = exec.Command(testBinary(t), "node", m.dir)
	m.node.Stdout, m.node.Stderr = m.log, m.log
	must(t, m.node.Start())
	eventually(t, "the node answers", func() bool {
		i, err := m.Info(t.Context())
		return err == nil && i.PID == m.node.Process.Pid
	})
}

// kill kills the node as kill -9 does.
func (m *machine) kill(t *testing.T) {
	t.Helper()
	must(t, m.node.Process.Signal(syscall.SIGKILL))
	_ = m.node.Wait()
}

func testBinary(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// pack returns release n.
func (m *machine) pack(t testing.TB, n int) packed {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.packs[n]; ok {
		return p
	}
	tree := t.TempDir()
	for name, text := range map[string]string{"number": fmt.Sprint(n), "media/logo": "logo"} {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var zip bytes.Buffer
	a, _, err := release.Pack(t.Context(), release.PackOptions{App: shop.App, Dir: tree}, &zip)
	if err != nil {
		t.Fatal(err)
	}
	m.packs[n] = packed{a, zip.Bytes()}
	return m.packs[n]
}

func (m *machine) spec(t testing.TB, n int) platform.Spec {
	t.Helper()
	s := platform.Spec{
		Environment: ship.Environment{
			ID:    shop,
			Route: ship.Route{Listen: []string{m.listen}},
			Run: ship.RunSettings{Processes: map[string]ship.Process{
				ship.Web: {Command: ship.Argv{"$TESTBINARY", "app"}, Instances: 1, Grace: 5 * time.Second},
				"tick":   {Command: ship.Argv{"$TESTBINARY", "tick"}, Instances: 1, Grace: 5 * time.Second},
			}},
			Health: ship.Health{Path: "/healthz", Every: 50 * time.Millisecond, Timeout: 5 * time.Second},
		},
		Release: ship.Release{App: shop.App, Number: n, Artifact: m.pack(t, n).artifact},
		Vars:    map[string]ship.Secret{"TICKS": ship.NewSecret(m.ticks)},
	}
	if m.edit != nil {
		m.edit(&s)
	}
	return s
}

func (m *machine) world() platformtest.World {
	return platformtest.World{
		Platform: m.Platform, URL: "http://" + m.listen, Spec: m.spec, TickFile: m.ticks,
		Archive: func(t testing.TB, n int) []byte { return m.pack(t, n).zip },
	}
}

func TestAPlatformOfProcessesKeepsTheContract(t *testing.T) {
	platformtest.Run(t, func(t *testing.T) platformtest.World { return newMachine(t).world() })
}

// acquire, prepare, run and so on are the steps of a deployment.

func (m *machine) acquire(t *testing.T, run string) ship.Fence {
	t.Helper()
	f, err := m.Acquire(t.Context(), shop, ship.Claim{Run: run, Holder: "ada", Reason: "deploy", TTL: time.Minute})
	must(t, err)
	return f
}

func (m *machine) prepare(t *testing.T, n int) (platform.Spec, platform.Prepared) {
	t.Helper()
	s := m.spec(t, n)
	must(t, m.Upload(t.Context(), s.Release.Artifact, bytes.NewReader(m.pack(t, n).zip)))
	p, err := m.Prepare(t.Context(), s)
	must(t, err)
	return s, p
}

func (m *machine) deploy(t *testing.T, f ship.Fence, n int, slot ship.Slot, l ship.Limits) {
	t.Helper()
	s, _ := m.prepare(t, n)
	must(t, m.Start(t.Context(), f, s, slot))
	eventually(t, "the release answers", func() bool {
		_, err := get("http://" + m.web(t, slot).Address + "/healthz")
		return err == nil
	})
	must(t, m.Shift(t.Context(), f, shop, platform.Shift{To: slot, Drain: time.Second, KeepOld: time.Minute, Watch: l}))
}

func (m *machine) observe(t *testing.T) platform.Observation {
	t.Helper()
	o, err := m.Observe(t.Context(), shop)
	must(t, err)
	return o
}

// web is the slot's first web instance.
func (m *machine) web(t *testing.T, slot ship.Slot) platform.Instance {
	t.Helper()
	for _, i := range m.observe(t).Slots[slot].Instances {
		if i.Process == ship.Web {
			return i
		}
	}
	t.Fatalf("no web instance in slot %s", slot)
	return platform.Instance{}
}

func (m *machine) answers(t *testing.T, want string) {
	t.Helper()
	if body, err := get("http://" + m.listen + "/"); err != nil || body != want {
		t.Fatalf("answered %q, %v, want %q", body, err, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t *testing.T, err error, kind ship.Kind, says string) {
	t.Helper()
	if err == nil || ship.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		t.Fatalf("got error %v of kind %q, want kind %q and %q", err, ship.KindOf(err), kind, says)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen that %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
