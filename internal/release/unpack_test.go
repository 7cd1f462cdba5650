package release_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

// The forger must be able to write what is accepted, or no refusal below
// would say anything.
func TestAForgedArchiveWithNothingWrongIsUnpacked(t *testing.T) {
	data := forge(t, entry{name: "a/b.txt", data: "hello"}, entry{name: "c", data: ""})
	root, m, err := unpack(t, data, release.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := root.ReadFile("a/b.txt")
	if err != nil || string(got) != "hello" || len(m.Files) != 2 {
		t.Errorf("read %q, %v; %d files", got, err, len(m.Files))
	}
}

func TestA32NamesThatLeadOutOfTheTreeAreRefused(t *testing.T) {
	for _, name := range []string{
		"../evil", "a/../../evil", "a/..", "..", ".", "", "/etc/evil", "//evil", "a//b", "./a", "a/./b", "a/",
		`C:\evil`, "C:/evil", "c:evil", `a\b`, `..\evil`, `\\host\share`,
		"a\x00b", "a\nb", "a\x1b[2Jb", "a\u0085b", "\xff\xfe",
		strings.Repeat("n", 256), strings.Repeat("d/", 65) + "f", strings.Repeat("dir/", 300) + "f",
		".shiplock/evil", ".Shiplock/evil", ".shiplock",
	} {
		refused(t, fmt.Sprintf("name %.40q", name), forge(t, entry{name: name}), release.Limits{})
	}
}

func TestA33OnlyPlainFilesAreUnpacked(t *testing.T) {
	for what, mode := range map[string]fs.FileMode{
		"link":       fs.ModeSymlink | 0o777,
		"device":     fs.ModeDevice | 0o644,
		"terminal":   fs.ModeDevice | fs.ModeCharDevice | 0o644,
		"fifo":       fs.ModeNamedPipe | 0o644,
		"socket":     fs.ModeSocket | 0o644,
		"folder":     fs.ModeDir | 0o755,
		"setuid":     fs.ModeSetuid | 0o755,
		"setgid":     fs.ModeSetgid | 0o755,
		"sticky":     fs.ModeSticky | 0o755,
		"writable":   0o666,
		"executable": 0o755, // which the manifest does not say
	} {
		refused(t, what, forge(t, entry{name: "a", data: "/etc/passwd", mode: mode}), release.Limits{})
	}
	refused(t, "link, then a file through it", forge(t,
		entry{name: "a", data: "/tmp", mode: fs.ModeSymlink | 0o777}, entry{name: "a/evil", data: "x"}), release.Limits{})
	refused(t, "file, then a file in it", forge(t, entry{name: "a", data: "x"}, entry{name: "a/b", data: "x"}), release.Limits{})
	refused(t, "encrypted", forge(t, entry{name: "a", data: "x", flags: 1}), release.Limits{})
	// A hard link has no form of its own in a zip: it is two entries on the
	// same data, see the overlapping ones.
}

func TestA33ALinkThatIsThereAlreadyIsNotFollowed(t *testing.T) {
	data := forge(t, entry{name: "a/b", data: "x"})
	outside := t.TempDir()
	dir := t.TempDir()
	if err := os.Symlink(outside, dir+"/a"); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := release.Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), digestOf(data), root, release.Limits{}); err == nil {
		t.Error("unpacked into a folder that is not empty")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written through the link: %v", left)
	}
}

func TestA34ABombIsRefusedBeforeItIsRead(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	refused(t, "compressed", forge(t, entry{name: "a", data: zeros, method: zip.Deflate}), release.Limits{})

	few := release.Limits{Bytes: 1000, Files: 10, Depth: 4, Path: 100}
	refused(t, "more bytes", forge(t, entry{name: "a", data: zeros}), few)
	refused(t, "more bytes in all", forge(t, entry{name: "a", data: zeros[:600]}, entry{name: "b", data: zeros[:600]}), few)
	refused(t, "deeper", forge(t, entry{name: "a/b/c/d/e", data: ""}), few)
	refused(t, "longer path", forge(t, entry{name: strings.Repeat("n", 101), data: ""}), few)
	var many []entry
	for i := range 11 {
		many = append(many, entry{name: fmt.Sprintf("f%02d", i)})
	}
	refused(t, "more files", forge(t, many...), few)
	if _, _, err := unpack(t, forge(t, many[:10]...), few); err != nil {
		t.Errorf("as many files as are allowed: %v", err)
	}
}

func TestA34MoreFilesThanTheEndRecordSaysAreRefused(t *testing.T) {
	// The count in the end record has 16 bits, and readers that believe it, or
	// take it modulo 65536, read without a limit.
	var many []entry
	for i := range 300 {
		many = append(many, entry{name: fmt.Sprintf("f%04d", i)})
	}
	data := forge(t, many...)
	for _, says := range []uint16{0, 1, 300, 302, 65535} {
		lie := bytes.Clone(data)
		binary.LittleEndian.PutUint16(lie[len(lie)-14:], says)
		binary.LittleEndian.PutUint16(lie[len(lie)-12:], says)
		refused(t, fmt.Sprintf("says %d files, has 301", says), lie, release.Limits{})
	}
}

func TestA34AMillionTinyFilesAreCountedAndNotRead(t *testing.T) {
	// The end record's count is a million modulo 65536, which archive/zip
	// takes for the truth and then reads them all.
	const n, name = 1_000_000, "f"
	record := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	binary.LittleEndian.PutUint16(record[28:], uint16(len(name)))
	data := bytes.Repeat(append(record, name...), n)
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	binary.LittleEndian.PutUint16(end[8:], n%65536)
	binary.LittleEndian.PutUint16(end[10:], n%65536)
	binary.LittleEndian.PutUint32(end[12:], uint32(len(data)))
	data = append(data, end...)
	if _, err := zip.NewReader(bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatalf("archive/zip itself refuses it: %v", err)
	}
	refused(t, "a million files", data, release.Limits{})
	_, _, err := unpack(t, data, release.Limits{})
	if err == nil || !strings.Contains(err.Error(), "longer than it says") {
		t.Errorf("refused for another reason: %v", err)
	}
}

func TestA34OverlappingEntriesAreRefused(t *testing.T) {
	// Entries that share their data are how a few bytes become many.
	data := forge(t, entry{name: "a", data: "same"}, entry{name: "b", data: "same"})
	dir := bytes.Index(data, []byte("PK\x01\x02"))
	var headers []int
	for i := dir; i >= 0 && i < len(data); {
		headers = append(headers, i)
		next := bytes.Index(data[i+4:], []byte("PK\x01\x02"))
		if next < 0 {
			break
		}
		i += 4 + next
	}
	if len(headers) != 3 {
		t.Fatalf("%d entries in the directory", len(headers))
	}
	copy(data[headers[2]+42:headers[2]+46], data[headers[1]+42:headers[1]+46])
	refused(t, "two entries on one file", data, release.Limits{})
}

func TestA34BytesThatBelongToNoEntryAreRefused(t *testing.T) {
	data := forge(t, entry{name: "a", data: "x"})
	refused(t, "before the archive", append([]byte("#!/bin/sh\n"), data...), release.Limits{})
	refused(t, "after the archive", append(bytes.Clone(data), "more"...), release.Limits{})
	refused(t, "a zip behind a zip", append(bytes.Clone(data), data...), release.Limits{})
	refused(t, "nested is just bytes, but no manifest", zipOf(t, entry{name: "inner.zip", data: string(data)}), release.Limits{})
	if _, _, err := unpack(t, forge(t, entry{name: "inner.zip", data: string(data)}), release.Limits{}); err != nil {
		t.Errorf("an archive as a file of a release: %v", err)
	}
}

func TestA35NamesThatAreTheSameOnSomeSystemsAreRefused(t *testing.T) {
	for _, pair := range [][2]string{
		{"a", "a"},
		{"README", "readme"},
		{"dir/A", "dir/a"},
		{"Dir/x", "dir/y"},
		{"caf\u00e9", "cafe\u0301"},
		{"stra\u00dfe", "strasse"},
		{"\u212a", "k"},
		{"\u0130", "i\u0307"},
		{"Σ", "ς"},
		{"a", "A/b"},
	} {
		refused(t, fmt.Sprintf("%q and %q", pair[0], pair[1]),
			forge(t, entry{name: pair[0], data: "1"}, entry{name: pair[1], data: "2"}), release.Limits{})
	}
}

func TestA36WhatTheManifestDoesNotSayIsRefused(t *testing.T) {
	say := func(f release.File) entry { return entry{name: "a", data: "hello", listed: &f} }
	refused(t, "hidden", forge(t, entry{name: "a", data: "x"}, entry{name: "b", data: "x", hidden: true}), release.Limits{})
	refused(t, "other digest", forge(t, say(release.File{Path: "a", Size: 5, SHA256: sumOf([]byte("other"))})), release.Limits{})
	refused(t, "other size", forge(t, say(release.File{Path: "a", Size: 6, SHA256: sumOf([]byte("hello"))})), release.Limits{})
	refused(t, "negative size", forge(t, say(release.File{Path: "a", Size: -1, SHA256: sumOf([]byte("hello"))})), release.Limits{})
	refused(t, "other name", forge(t, say(release.File{Path: "b", Size: 5, SHA256: sumOf([]byte("hello"))})), release.Limits{})
	refused(t, "no digest", forge(t, say(release.File{Path: "a", Size: 5})), release.Limits{})
	refused(t, "no manifest", zipOf(t, entry{name: "a", data: "x"}), release.Limits{})
	refused(t, "empty", zipOf(t), release.Limits{})
	refused(t, "manifest of another schema", zipOf(t, entry{name: release.ManifestPath, data: `{"schema":2}`}), release.Limits{})
	refused(t, "manifest that is no JSON", zipOf(t, entry{name: release.ManifestPath, data: `{`}), release.Limits{})
	whole := forge(t, entry{name: "a", data: "x"}, entry{name: "b", data: "x"})
	manifest, _, _ := bytes.Cut(whole[bytes.IndexByte(whole, '{'):], []byte("PK\x03\x04"))
	refused(t, "missing file", zipOf(t, entry{name: release.ManifestPath, data: string(manifest)}, entry{name: "a", data: "x"}), release.Limits{})
}

func TestA36AnArchiveWithAnotherDigestIsNotUnpacked(t *testing.T) {
	data := forge(t, entry{name: "a", data: "x"})
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, digest := range []string{digestOf([]byte("other")), "", "sha256:", "../" + digestOf(data), strings.ToUpper(digestOf(data))} {
		_, err := release.Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), digest, root, release.Limits{})
		if ship.KindOf(err) != ship.Invalid {
			t.Errorf("digest %q: %v", digest, err)
		}
	}
	if left, _ := fs.ReadDir(root.FS(), "."); len(left) > 0 {
		t.Errorf("unpacked: %v", left)
	}
}

func TestA39AChangedTreeIsFoundBeforeItIsStarted(t *testing.T) {
	data := forge(t, entry{name: "a.py", data: "print(1)"}, entry{name: "b.py", data: "print(2)"})
	for what, change := range map[string]func(r *os.Root) error{
		"content":  func(r *os.Root) error { return r.WriteFile("b.py", []byte("print(9)"), 0o644) },
		"length":   func(r *os.Root) error { return r.WriteFile("b.py", []byte("print(22)"), 0o644) },
		"gone":     func(r *os.Root) error { return r.Remove("b.py") },
		"mode":     func(r *os.Root) error { return r.Chmod("b.py", 0o755) },
		"a folder": func(r *os.Root) error { _ = r.Remove("b.py"); return r.Mkdir("b.py", 0o755) },
		"a link":   func(r *os.Root) error { _ = r.Rename("b.py", "c.py"); return r.Symlink("c.py", "b.py") },
	} {
		root, m, err := unpack(t, data, release.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := release.Verify(t.Context(), root, m); err != nil {
			t.Errorf("%s: before: %v", what, err)
		}
		if err := change(root); err != nil {
			t.Fatal(err)
		}
		if err := release.Verify(t.Context(), root, m); ship.KindOf(err) != ship.Failed || !strings.Contains(err.Error(), "b.py") {
			t.Errorf("%s: after: %v", what, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(forge(f, entry{name: "a/b.txt", data: "hello"}, entry{name: "run", data: "x"}))
	f.Add(forge(f, entry{name: "../evil", data: "x"}))
	f.Add(forge(f, entry{name: "a", data: "/etc", mode: fs.ModeSymlink | 0o777}))
	f.Add(zipOf(f))
	f.Add([]byte("PK\x05\x06"))
	limits := release.Limits{Bytes: 1 << 16, Files: 20, Depth: 5, Path: 100}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, m, err := unpack(t, data, limits)
		if err != nil {
			return
		}
		if err := release.Verify(t.Context(), root, m); err != nil {
			t.Errorf("unpacked and yet: %v", err)
		}
		var found int
		err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if !d.IsDir() && name != release.ManifestPath {
				found++
			}
			return err
		})
		if err != nil || found != len(m.Files) {
			t.Errorf("%d files are there, the manifest has %d: %v", found, len(m.Files), err)
		}
	})
}
