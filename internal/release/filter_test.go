package release_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/release"
)

func TestATreeThatWasNotPackedIsSeenWithoutWhatAReleaseWouldNotHave(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"migrations/1.sql", "migrations/drafts/2.sql", "tests/migrations/1.sql", ".env"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	tree := release.Without(dir, []string{"tests/", "drafts"})
	var seen []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			seen = append(seen, name)
		}
		return err
	})
	if want := []string{"migrations/1.sql"}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("it shows %v, %v, want %v", seen, err, want)
	}
	for _, name := range []string{"tests/migrations/1.sql", "migrations/drafts/2.sql", ".env"} {
		if _, err := fs.ReadFile(tree, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s can be read: %v", name, err)
		}
	}
}
