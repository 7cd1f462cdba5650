package release_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/release"
)

// kept is a store with one archive, the archive's digest and its path.
func kept(t *testing.T) (dir, digest, path string) {
	t.Helper()
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "main.py"), []byte("print()\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	a, _, err := release.Pack(t.Context(), release.PackOptions{Dir: tree, App: "shop"}, &archive)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	s, err := release.NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), a.Digest, &archive); err != nil {
		t.Fatal(err)
	}
	return dir, a.Digest, filepath.Join(dir, strings.TrimPrefix(a.Digest, "sha256:")+".zip")
}

func TestAnArchiveOfThisMachineIsKeptWithoutACopy(t *testing.T) {
	_, digest, path := kept(t)
	s, err := release.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be there
		if err := s.Link(t.Context(), digest, path); err != nil {
			t.Fatal(err)
		}
	}
	f, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ours, err := f.Stat()
	theirs, err2 := os.Stat(path)
	if err = errors.Join(err, err2); err != nil || !os.SameFile(ours, theirs) {
		t.Errorf("it is another file: %v", err)
	}
	if m, err := s.Manifest(digest); err != nil || len(m.Files) != 1 {
		t.Errorf("its manifest: %+v, %v", m, err)
	}
}

func TestA36WhatIsLinkedToHasToBeTheArchiveAndOursAlone(t *testing.T) {
	_, digest, path := kept(t)
	link := filepath.Join(t.TempDir(), "link.zip")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.zip")
	if err := os.WriteFile(other, []byte("PK"), 0o400); err != nil {
		t.Fatal(err)
	}
	writable := filepath.Join(t.TempDir(), "writable.zip")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(writable, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := release.NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{link, other, writable, filepath.Dir(path), "/dev/null", filepath.Join(dir, "absent")} {
		if err := s.Link(t.Context(), digest, p); err == nil || s.Has(digest) {
			t.Errorf("%s was kept: %v", p, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
