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
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
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
	data   string
	server *exec.Cmd
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	data, err := os.MkdirTemp("", "sl-") // short, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: data}
	t.Cleanup(func() {
		w.stop()
		_ = os.RemoveAll(data)
	})
	w.up()
	return w
}

// up starts the server and waits until it answers.
func (w *world) up() {
	w.t.Helper()
	w.server = exec.Command(binary, "up", "--data", w.data)
	w.server.Stdout, w.server.Stderr = &w.log, &w.log
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
		w.t.Logf("server log:\n%s", tail(w.log.String(), 6000))
		if b, err := os.ReadFile(filepath.Join(w.data, "node.log")); err == nil {
			w.t.Logf("node log:\n%s", tail(string(b), 6000))
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
	cmd := exec.Command(binary, args...)
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

// project is a folder that is deployed.
type project struct {
	w    *world
	dir  string
	port int
	host string
}

// newProject copies an example and gives it its own port and secrets.
func (w *world) newProject(example string, secrets map[string]string) *project {
	w.t.Helper()
	p := &project{w: w, dir: filepath.Join(w.t.TempDir(), "project"), port: freePort(w.t), host: "127.0.0.1"}
	copyTree(w.t, filepath.Join("..", "examples", example), p.dir)
	p.baseline()
	var lines []string
	for k, v := range secrets {
		lines = append(lines, k+"="+v)
	}
	p.write("secrets.env", strings.Join(lines, "\n")+"\n", 0o600)
	return p
}

// baseline removes what only variants have.
func (p *project) baseline() {
	p.w.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, "variants")); err != nil {
		p.w.t.Fatal(err)
	}
}

// reset makes the folder the plain example again, but for configuration and secrets.
func (p *project) reset(example string) {
	p.w.t.Helper()
	yaml, err := os.ReadFile(filepath.Join(p.dir, "shiplock.yaml"))
	if err != nil {
		p.w.t.Fatal(err)
	}
	secrets, err := os.ReadFile(filepath.Join(p.dir, "secrets.env"))
	if err != nil {
		p.w.t.Fatal(err)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		p.w.t.Fatal(err)
	}
	copyTree(p.w.t, filepath.Join("..", "examples", example), p.dir)
	p.baseline()
	p.write("shiplock.yaml", string(yaml), 0o644)
	p.write("secrets.env", string(secrets), 0o600)
}

func (p *project) write(name, text string, mode os.FileMode) {
	p.w.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		p.w.t.Fatal(err)
	}
}

// overlay lays a variant over the folder.
func (p *project) overlay(example, variant string) {
	p.w.t.Helper()
	copyTree(p.w.t, filepath.Join("..", "examples", example, "variants", variant), p.dir)
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "__pycache__" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
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
	c.cmd = exec.CommandContext(p.w.t.Context(), binary, args...)
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

// status returns what runs in the project's environment.
func (p *project) status() wire.EnvironmentStatus {
	p.w.t.Helper()
	out, code := p.w.run("status", "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"), "-o", "json")
	var all []wire.EnvironmentStatus
	if err := json.Unmarshal([]byte(out), &all); code != 0 || err != nil || len(all) != 1 {
		p.w.t.Fatalf("status: exit code %d, %v: %s", code, err, out)
	}
	return all[0]
}

func (p *project) url() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
}

// get asks the application through the proxy.
func (p *project) get(path string) (int, http.Header, string) {
	p.w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url()+path, nil)
	if err != nil {
		p.w.t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		p.w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b.String()
}

// traffic is a load that counts every request.
type traffic struct {
	t      *testing.T
	load   *load.Load
	cancel context.CancelFunc
	done   chan load.Snapshot
}

// traffic begins a mixed open load.
func (p *project) traffic(rate float64) *traffic {
	p.w.t.Helper()
	l, err := load.New(load.Options{URL: p.url(), Rate: rate, Workers: 200, KeepAlive: true, Timeout: 60 * time.Second, Requests: []load.Request{
		{Path: "/products/", Weight: 3}, {Path: "/", Weight: 2},
		{Method: http.MethodPost, Path: "/orders/", Body: `{"key":"$ID","product":1,"quantity":1}`},
	}})
	if err != nil {
		p.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{p.w.t, l, cancel, make(chan load.Snapshot, 1)}
	go func() { tr.done <- l.Run(ctx) }()
	return tr
}

// stop ends the load and fails the test when a request was lost.
func (tr *traffic) stop() load.Snapshot {
	tr.t.Helper()
	tr.cancel()
	s := <-tr.done
	if s.Lost() > 0 {
		tr.t.Errorf("lost %d of %d requests: %s", s.Lost(), s.Sent, s)
	}
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
