// Package e2e runs the real program with real applications and real databases
// under load, and kills it.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == streetRole {
		fmt.Fprintln(os.Stderr, serveStreet(os.Args[2]))
		os.Exit(1)
	}
	if len(os.Args) == 2 && os.Args[1] == patientRole {
		fmt.Fprintln(os.Stderr, bePatient())
		os.Exit(1)
	}
	flag.Parse()
	// The program behaves otherwise in a CI job; what is tested is a machine.
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "GITLAB_CI"} {
		_ = os.Unsetenv(name)
	}
	dir, err := os.MkdirTemp("", "shiplock-e2e-")
	if err == nil {
		binary = filepath.Join(dir, "shiplock")
		var out []byte
		cmd := exec.Command("go", "build", "-o", binary, "../cmd/shiplock")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build shiplock:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is a machine of one test: a data folder, a server and its node.
type world struct {
	t      *testing.T
	binary string
	data   string
	server *exec.Cmd
}

func newWorld(t *testing.T) *world {
	t.Helper()
	data, err := os.MkdirTemp("", "sl-") // short, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, binary: binary, data: data}
	t.Cleanup(func() {
		w.stop()
		_ = os.RemoveAll(data)
	})
	w.up()
	return w
}

// up starts the server and waits until it answers.
func (w *world) up(more ...string) {
	w.t.Helper()
	w.server = exec.Command(w.binary, append([]string{"up", "--data", w.data}, more...)...)
	log, err := os.OpenFile(w.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	w.server.Stdout, w.server.Stderr = log, log
	if err := w.server.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.eventually(time.Minute, "the server answers", func() error {
		_, code := w.run("status", "--data", w.data, "-o", "json")
		if code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		return nil
	})
}

// logPath is where the server's output goes.
func (w *world) logPath() string { return filepath.Join(w.data, "server.log") }

// kill ends a process so that it can do nothing about it.
func (w *world) kill(pid int) {
	w.t.Helper()
	if pid <= 1 {
		w.t.Fatalf("kill %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		w.t.Fatal(err)
	}
}

func (w *world) killServer() {
	w.t.Helper()
	w.kill(w.server.Process.Pid)
	_ = w.server.Wait()
}

func (w *world) node() *node.Client {
	return node.NewClient(node.Socket(filepath.Join(w.data, "node")))
}

func (w *world) nodeInfo() node.Info {
	w.t.Helper()
	var info node.Info
	w.eventually(time.Minute, "the node answers", func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		info, err = w.node().Info(ctx)
		if err == nil && info.Worker == 0 {
			err = errors.New("it has no proxy worker")
		}
		return err
	})
	return info
}

// stop ends everything the world started, by process id.
func (w *world) stop() {
	if w.server != nil && w.server.ProcessState == nil {
		_ = w.server.Process.Signal(syscall.SIGTERM)
		_ = w.server.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	info, infoErr := w.node().Info(ctx)
	if err := w.node().Shutdown(ctx); err != nil && infoErr == nil {
		w.t.Logf("shut the node down: %v", err)
	}
	for infoErr == nil && syscall.Kill(info.PID, 0) == nil && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	if w.t.Failed() {
		for _, path := range []string{w.logPath(), filepath.Join(w.data, "node.log")} {
			if b, err := os.ReadFile(path); err == nil {
				w.t.Logf("%s:\n%s", path, tail(string(b), 6000))
			}
		}
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// eventually asks until f has no error; within is generous.
func (w *world) eventually(within time.Duration, what string, f func() error) {
	w.t.Helper()
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	w.t.Fatalf("%s: not within %s: %v", what, within, err)
}

// run runs the program and returns what it printed and its exit code.
func (w *world) run(args ...string) (string, int) {
	w.t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.Command(w.binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String() + errOut.String(), exit.ExitCode()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return out.String() + errOut.String(), 0
}

// ended is how a command that carried a run out ended.
type ended struct {
	ship.Result
	code   int
	events []ship.Event
	text   string
}

// command is a run of the program that is under way.
type command struct {
	p   *project
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

// begin starts a verb that follows a run.
func (p *project) begin(args ...string) *command {
	p.w.t.Helper()
	c := &command{p: p}
	args = append(args, "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"), "-o", "json")
	c.cmd = exec.CommandContext(p.w.t.Context(), p.w.binary, args...)
	c.cmd.WaitDelay = time.Second
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	if err := c.cmd.Start(); err != nil {
		p.w.t.Fatal(err)
	}
	return c
}

func (c *command) wait() ended {
	c.p.w.t.Helper()
	late := time.AfterFunc(5*time.Minute, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	err := c.cmd.Wait()
	e := ended{code: c.cmd.ProcessState.ExitCode(), text: c.out.String() + c.err.String()}
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		c.p.w.t.Fatal(err)
	}
	for dec := json.NewDecoder(&c.out); ; {
		var ev ship.Event
		if dec.Decode(&ev) != nil {
			break
		}
		e.events = append(e.events, ev)
		if ev.Type == ship.EventFinal {
			if err := json.Unmarshal(ev.Data, &e.Result); err != nil {
				c.p.w.t.Fatal(err)
			}
		}
	}
	return e
}

func (p *project) do(args ...string) ended {
	p.w.t.Helper()
	return p.begin(args...).wait()
}

// expect fails the test unless the run ended as it should.
func (e ended) expect(t *testing.T, code int, kind ship.Kind, schema ship.SchemaState, serving int) {
	t.Helper()
	if e.code != code || e.Kind != kind || e.Schema != schema || e.Serving != serving {
		t.Errorf("ended with exit code %d, kind %q, schema %q, v%d serving: %s\nwant exit code %d, kind %q, schema %q, v%d serving\n%s",
			e.code, e.Kind, e.Schema, e.Serving, e.Reason, code, kind, schema, serving, tail(e.text, 4000))
	}
	if e.Reason == "" {
		t.Error("it did not say why")
	}
}
