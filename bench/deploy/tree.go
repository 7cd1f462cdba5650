package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// A tree says what is deployed: the shop of examples/go, and files beside it.
type tree struct {
	name  string
	files int   // beside the shop
	size  int64 // of the whole tree; what the shop leaves of it is for the files
}

// A project is a tree in a folder, as a person would deploy it.
type project struct {
	tree
	dir   string
	count int // files there are, the shop's included
	bytes int64
}

func newProject(ctx context.Context, parent, shop string, t tree) (*project, error) {
	p := &project{tree: t, dir: filepath.Join(parent, t.name)}
	err := p.application(ctx, shop, filepath.Join(parent, t.name+".db"))
	if err == nil {
		err = p.weigh()
	}
	if err == nil && t.files > 0 {
		err = errors.Join(p.assets(t.size-p.bytes), p.weigh())
	}
	return p, err
}

// application writes the shop with its migrations and a configuration in which
// nothing is waited for that is not needed: one good answer is health enough,
// there is no watch, and the old release is not kept.
func (p *project) application(ctx context.Context, shop, database string) error {
	source, err := output(ctx, "", "go", "list", "-f", "{{.Dir}}", "github.com/shiplock/shiplock/examples/go")
	if err != nil {
		return err
	}
	migrations := os.DirFS(filepath.Join(strings.TrimSpace(string(source)), "migrations"))
	if err := os.CopyFS(filepath.Join(p.dir, "migrations"), migrations); err != nil {
		return err
	}
	program, err := os.ReadFile(shop)
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`app: bench-%s
run:
  processes:
    web: {command: "./shop --listen 127.0.0.1:$PORT --database %[2]s"}
health: {path: /healthz, healthy_after: 1, every: 5ms}
database: {url: %[2]q, backup: {kind: none, reason: "the tables are empty"}}
migrations: {tool: sqlfiles}
environments:
  bench: {platform: process, listen: "127.0.0.1:%[3]d", watch: {for: 0s}, keep_old: 0s}
`, p.name, "sqlite:///"+database, port)
	return errors.Join(
		os.WriteFile(filepath.Join(p.dir, "shop"), program, 0o755),
		os.WriteFile(filepath.Join(p.dir, "shiplock.yaml"), []byte(config), 0o644),
		p.release(0))
}

// release makes the tree differ from every earlier one, so that nothing of an
// earlier deployment can be used again.
func (p *project) release(n int) error {
	return os.WriteFile(filepath.Join(p.dir, "VERSION"), fmt.Appendf(nil, "bench-%04d\n", n), 0o644)
}

// assets writes files of text, the same ones on every machine.
func (p *project) assets(size int64) error {
	each := size / int64(p.files)
	if each <= 0 {
		return fmt.Errorf("%d bytes are too few for %d files beside the shop", p.size, p.files)
	}
	words := strings.Fields("the lock lifts a vessel from one level of water to next without emptying canal gates open slowly and keeper counts what passed {} [] 0 1 2 3 margin: display: return function const")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range p.files {
		text := make([]byte, 0, each+16)
		for int64(len(text)) < each {
			text = append(text, words[random.IntN(len(words))]...)
			text = append(text, ' ')
		}
		dir := filepath.Join(p.dir, "assets", fmt.Sprintf("%02d", i%40))
		err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.txt", i)), text[:each], 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}

// weigh counts the files and their bytes.
func (p *project) weigh() error {
	p.count, p.bytes = 0, 0
	return filepath.WalkDir(p.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			p.count++
			p.bytes += info.Size()
		}
		return err
	})
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nothing is waited for
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
