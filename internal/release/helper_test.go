package release_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

// tree writes files, whose names are paths, into a new folder.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pack(t testing.TB, o release.PackOptions) ([]byte, ship.Artifact, *release.Manifest) {
	t.Helper()
	var out bytes.Buffer
	a, m, err := release.Pack(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), a, m
}

func unpack(t testing.TB, data []byte, l release.Limits) (*os.Root, *release.Manifest, error) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	m, err := release.Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), digestOf(data), root, l)
	return root, m, err
}

func digestOf(data []byte) string { return "sha256:" + sumOf(data) }

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func paths(m *release.Manifest) []string {
	var all []string
	for _, f := range m.Files {
		all = append(all, f.Path)
	}
	return all
}

// An entry is one of a forged archive. What is zero is as Pack would have it.
type entry struct {
	name   string
	data   string
	method uint16
	mode   fs.FileMode
	flags  uint16
	extra  []byte
	// listed is what the manifest says of it; nil is the truth, hidden leaves
	// it out.
	listed *release.File
	hidden bool
}

func (e entry) file() release.File {
	if e.listed != nil {
		return *e.listed
	}
	return release.File{Path: e.name, Size: int64(len(e.data)), SHA256: sumOf([]byte(e.data))}
}

// forge writes an archive that Pack would not, with a manifest that agrees
// with it wherever an entry does not say otherwise.
func forge(t testing.TB, entries ...entry) []byte {
	t.Helper()
	m := release.Manifest{Schema: release.ManifestSchema, App: "shop", Files: []release.File{}}
	for _, e := range entries {
		if !e.hidden {
			m.Files = append(m.Files, e.file())
		}
	}
	slices.SortStableFunc(m.Files, func(a, b release.File) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return zipOf(t, append([]entry{{name: release.ManifestPath, data: string(data)}}, entries...)...)
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		h := &zip.FileHeader{
			Name: e.name, Method: e.method, Flags: 0x800 | e.flags, Extra: e.extra, ReaderVersion: 20,
			CRC32: crc32.ChecksumIEEE([]byte(e.data)), CompressedSize64: uint64(len(e.data)), UncompressedSize64: uint64(len(e.data)),
		}
		if e.mode == 0 {
			e.mode = 0o644
		}
		h.SetMode(e.mode)
		create := z.CreateRaw
		if e.method == zip.Deflate {
			create = z.CreateHeader
		}
		w, err := create(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// refused fails the test unless the archive is refused as invalid and nothing
// is left outside the folder it was to be unpacked into.
func refused(t *testing.T, what string, data []byte, l release.Limits) {
	t.Helper()
	outer := t.TempDir()
	inner := filepath.Join(outer, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = release.Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), digestOf(data), root, l)
	if ship.KindOf(err) != ship.Invalid {
		t.Errorf("%s: not refused: %v", what, err)
	}
	left, err := os.ReadDir(outer)
	if err != nil || len(left) != 1 {
		t.Errorf("%s: written outside: %v, %v", what, left, err)
	}
	store, err := release.NewStore(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	if l == (release.Limits{}) {
		if _, err := store.Put(t.Context(), digestOf(data), bytes.NewReader(data)); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: kept in the store: %v", what, err)
		}
		if store.Has(digestOf(data)) {
			t.Errorf("%s: is in the store", what)
		}
	}
}
