package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

func newStore(t *testing.T) (*release.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "releases")
	s, err := release.NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestAReleaseIsKeptUnderItsDigest(t *testing.T) {
	s, _ := newStore(t)
	data, a, m := pack(t, release.PackOptions{
		Dir: tree(t, map[string]string{"migrations/1.sql": "one", "app.py": "x"}), App: "shop",
		Migrations: func(fs.FS) ([]ship.Migration, error) { return []ship.Migration{{ID: "1"}}, nil },
	})
	for range 2 { // again is fine
		got, err := s.Put(t.Context(), a.Digest, bytes.NewReader(data))
		if err != nil || got != a {
			t.Fatalf("put %+v, %v instead of %+v", got, err, a)
		}
	}
	if got, err := s.Stat(a.Digest); err != nil || got != a || !s.Has(a.Digest) {
		t.Errorf("stat %+v, %v", got, err)
	}
	if got, err := s.Manifest(a.Digest); err != nil || cmp.Diff(m, got) != "" {
		t.Errorf("manifest %+v, %v", got, err)
	}
	if got, err := s.List(); err != nil || len(got) != 1 || got[0] != a.Digest {
		t.Errorf("list %v, %v", got, err)
	}
	f, err := s.Open(a.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	view, err := s.FS(a.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if text, err := fs.ReadFile(view, "migrations/1.sql"); err != nil || string(text) != "one" {
		t.Errorf("migration %q, %v", text, err)
	}
	if names, err := fs.Glob(view, "migrations/*"); err != nil || len(names) != 1 {
		t.Errorf("names %v, %v", names, err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := s.Unpack(t.Context(), a.Digest, root); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Delete(a.Digest); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Open(a.Digest); ship.KindOf(err) != ship.NotFound || s.Has(a.Digest) {
		t.Errorf("after deletion: %v", err)
	}
}

func TestA37AnInterruptedUploadLeavesNothing(t *testing.T) {
	data, a, _ := pack(t, release.PackOptions{Dir: tree(t, map[string]string{"a": strings.Repeat("x", 10_000)})})
	other, _, _ := pack(t, release.PackOptions{Dir: tree(t, map[string]string{"a": strings.Repeat("y", 10_000)})})
	broken := errors.New("connection reset")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for what, up := range map[string]struct {
		ctx context.Context
		r   io.Reader
	}{
		"cut short":                {t.Context(), bytes.NewReader(data[:5000])},
		"empty":                    {t.Context(), bytes.NewReader(nil)},
		"one byte too many":        {t.Context(), bytes.NewReader(append(bytes.Clone(data), 0))},
		"connection lost":          {t.Context(), io.MultiReader(bytes.NewReader(data[:5000]), iotest.ErrReader(broken))},
		"resumed with other bytes": {t.Context(), io.MultiReader(bytes.NewReader(data[:5000]), bytes.NewReader(other[5000:]))},
		"cancelled":                {cancelled, bytes.NewReader(data)},
	} {
		s, dir := newStore(t)
		if _, err := s.Put(up.ctx, a.Digest, up.r); err == nil {
			t.Errorf("%s: kept", what)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 || s.Has(a.Digest) {
			t.Errorf("%s: left %v", what, left)
		}
		if _, err := s.Put(t.Context(), a.Digest, iotest.OneByteReader(bytes.NewReader(data))); err != nil {
			t.Errorf("%s: the next upload: %v", what, err)
		}
	}
}

func TestA37AFailedUploadHarmsNotWhatIsKept(t *testing.T) {
	s, _ := newStore(t)
	data, a, _ := pack(t, release.PackOptions{Dir: tree(t, map[string]string{"a": "1"})})
	if _, err := s.Put(t.Context(), a.Digest, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), a.Digest, bytes.NewReader(data[:10])); err == nil {
		t.Error("a cut upload was taken")
	}
	if got, err := s.Stat(a.Digest); err != nil || got != a {
		t.Errorf("what was kept is %+v, %v", got, err)
	}
}

func TestManyMayPutTheSameReleaseAtOnce(t *testing.T) {
	s, dir := newStore(t)
	data, a, _ := pack(t, release.PackOptions{Dir: tree(t, map[string]string{"a": "1"})})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.Put(t.Context(), a.Digest, bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("in the store: %v", left)
	}
}

func TestA37UploadsThatACrashLeftAreRemovedAndYoungOnesAreNot(t *testing.T) {
	_, dir := newStore(t)
	old, young := filepath.Join(dir, ".upload-1"), filepath.Join(dir, ".upload-2")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := release.NewStore(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != ".upload-2" {
		t.Errorf("left %v", left)
	}
}

func TestA32ADigestNeverBecomesAPathElsewhere(t *testing.T) {
	s, _ := newStore(t)
	for _, digest := range []string{"", "sha256:", "../../etc/passwd", "sha256:../x", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("a", 64) + "/..", "sha256:" + strings.Repeat("a", 63) + "\n"} {
		if _, err := s.Put(t.Context(), digest, bytes.NewReader(nil)); ship.KindOf(err) != ship.Invalid {
			t.Errorf("put %q: %v", digest, err)
		}
		if _, err := s.Open(digest); ship.KindOf(err) != ship.Invalid {
			t.Errorf("open %q: %v", digest, err)
		}
		if err := s.Delete(digest); ship.KindOf(err) != ship.Invalid {
			t.Errorf("delete %q: %v", digest, err)
		}
		if s.Has(digest) {
			t.Errorf("has %q", digest)
		}
	}
}

func TestAReleaseThatRottedOnTheDiskIsNotUnpackedAndCanBePutAgain(t *testing.T) {
	s, dir := newStore(t)
	data, a, _ := pack(t, release.PackOptions{Dir: tree(t, map[string]string{"a": "content of a"})})
	if _, err := s.Put(t.Context(), a.Digest, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.TrimPrefix(a.Digest, "sha256:")+".zip")
	rotten := bytes.Replace(data, []byte("content of a"), []byte("content of b"), 1)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, rotten, 0o400)); err != nil {
		t.Fatal(err)
	}
	unpacked := func() error {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_, err = s.Unpack(t.Context(), a.Digest, root)
		return err
	}
	if err := unpacked(); ship.KindOf(err) != ship.Invalid {
		t.Errorf("a rotten archive was unpacked: %v", err)
	}
	if _, err := s.Put(t.Context(), a.Digest, bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	if err := unpacked(); err != nil {
		t.Errorf("after it was put again: %v", err)
	}
}

func TestMoreFilesThanAPlainZipCanCountAreKept(t *testing.T) {
	var many []entry
	for i := range 66_000 { // beyond 65535 the end of a zip has its 64-bit form
		many = append(many, entry{name: fmt.Sprintf("f%05d", i)})
	}
	data := forge(t, many...)
	s, _ := newStore(t)
	a, err := s.Put(t.Context(), digestOf(data), bytes.NewReader(data))
	if err != nil || a.Files != len(many) {
		t.Fatalf("%+v, %v", a, err)
	}
	// The same with a wrong number in that form, and with its locator damaged.
	for _, back := range []int{22 + 20 + 56 - 32, 22 + 20 - 8} {
		lie := bytes.Clone(data)
		lie[len(lie)-back]++
		refused(t, "a lie in the 64-bit form", lie, release.Limits{})
	}
}
