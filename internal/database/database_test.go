package database_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestDiffListsWhatWasAddedRemovedAndChanged(t *testing.T) {
	before := &database.Catalog{Objects: []database.Object{
		{Kind: "table", Name: "b", Text: "1"}, {Kind: "column", Name: "a.id", Text: "integer"}, {Kind: "table", Name: "a", Text: "1"},
	}}
	after := &database.Catalog{Objects: []database.Object{
		{Kind: "column", Name: "a.id", Text: "bigint"}, {Kind: "table", Name: "a", Text: "1"}, {Kind: "table", Name: "c", Text: "1"},
	}}
	before.Sort()
	after.Sort()
	want := []database.Difference{
		{Kind: "column", Name: "a.id", Before: "integer", After: "bigint"},
		{Kind: "table", Name: "b", Before: "1"},
		{Kind: "table", Name: "c", After: "1"},
	}
	if diff := cmp.Diff(want, database.Diff(before, after)); diff != "" {
		t.Errorf("Diff differs (-want +got):\n%s", diff)
	}
	if got := database.Diff(after, after); len(got) != 0 {
		t.Errorf("a catalog differs from itself: %+v", got)
	}
}

// A fake is a database that only exists.
type fake struct {
	database.Database
	url ship.Secret
}

func TestARegistryOpensTheKindsItWasTaught(t *testing.T) {
	var r database.Registry
	database.Register(&r, "paper", func(cfg database.Config, _ plugin.Deps) (*fake, error) { return &fake{url: cfg.URL}, nil })
	database.Register(&r, "none", func(database.Config, plugin.Deps) (*fake, error) { return nil, io.ErrUnexpectedEOF })
	if got := r.Kinds(); !slices.Equal(got, []string{"none", "paper"}) {
		t.Errorf("Kinds = %q", got)
	}
	db, err := r.Open("paper", database.Config{URL: ship.NewSecret("u")}, plugin.Deps{})
	if f, ok := db.(*fake); err != nil || !ok || f.url.Reveal() != "u" {
		t.Errorf("Open = %v, %v", db, err)
	}
	if db, err := r.Open("none", database.Config{}, plugin.Deps{}); err == nil || db != nil {
		t.Errorf("a constructor's error is lost: %v, %v", db, err)
	}
	if _, err := r.Open("stone", database.Config{}, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
		t.Errorf("an unknown kind is %v, want kind Invalid", err)
	}
}

func TestACopyIsMeasuredAlikeWhenWrittenAndRead(t *testing.T) {
	key := make([]byte, 32)
	content := bytes.Repeat([]byte("row "), 100_000)
	var file bytes.Buffer
	var progress int64
	w, err := database.NewCopyWriter(&file, key, func(n int64) { progress = n })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	written := w.Info("test", 3)
	sum := sha256.Sum256(file.Bytes())
	if written.SHA256 != hex.EncodeToString(sum[:]) || written.Size != int64(file.Len()) || progress != written.Size || written.Items != 3 {
		t.Errorf("measured %+v and progress %d of %d bytes", written, progress, file.Len())
	}
	r, err := database.NewCopyReader(&file, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v; want what was written", len(got), err)
	}
	if read := r.Info("test", 3); read.SHA256 != written.SHA256 || read.Size != written.Size {
		t.Errorf("read %+v, written %+v", read, written)
	}
}
