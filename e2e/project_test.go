package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/wire"
)

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
		{Path: "/products/", Weight: 3},
		{Path: "/", Weight: 2},
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
