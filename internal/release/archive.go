package release

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

const (
	utf8Flag    = 0x800
	creatorUnix = 3
	localHeader = 30
)

// An archive is a zip whose directory and manifest were found to agree and to
// be such as [Pack] writes them.
type archive struct {
	manifest *Manifest
	zip      *zip.Reader // its files are the manifest, then the manifest's files, in order
}

// openArchive checks an archive without reading the files in it. The form is
// the one strict form that Pack writes: entries lie one behind the other from
// the first byte to the directory, so that none can overlap, hide or be read
// in two ways.
func openArchive(r io.ReaderAt, size int64, l Limits) (*archive, error) {
	start, err := checkDirectory(r, size, l)
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, refuse("%w", err)
	}
	if err := checkEntries(z.File, start); err != nil {
		return nil, err
	}
	if len(z.File) == 0 || z.File[0].Name != ManifestPath {
		return nil, refuse("it does not begin with %s", ManifestPath)
	}
	if n := z.File[0].UncompressedSize64; n > maxManifest {
		return nil, refuse("its manifest has %d bytes, %d are allowed", n, maxManifest)
	}
	f, err := z.File[0].Open()
	if err != nil {
		return nil, refuse("its manifest cannot be read: %w", err)
	}
	defer f.Close()
	m, err := readManifest(f, l)
	if err != nil {
		return nil, err
	}
	return &archive{m, z}, sameList(z.File[1:], m.Files)
}

func checkEntries(files []*zip.File, end int64) error {
	var pos int64
	for _, f := range files {
		switch {
		case f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64:
			return refuse("%q is compressed, which a release never is", f.Name)
		case f.Flags&^utf8Flag != 0:
			return refuse("%q is encrypted or has other flags (%#x)", f.Name, f.Flags)
		case f.UncompressedSize64 > maxFile:
			return refuse("%q claims %d bytes", f.Name, f.UncompressedSize64)
		case f.CreatorVersion>>8 != creatorUnix || f.Mode() != 0o644 && f.Mode() != 0o755:
			return refuse("%q is no plain file (%s)", f.Name, describeMode(f))
		}
		data, err := f.DataOffset()
		if err != nil {
			return refuse("%q cannot be found in it: %w", f.Name, err)
		}
		if data != pos+localHeader+int64(len(f.Name)) {
			return refuse("%q overlaps another entry or does not follow it at once", f.Name)
		}
		pos = data + int64(f.UncompressedSize64)
	}
	if pos != end {
		return refuse("there are %d bytes between its files and its directory", end-pos)
	}
	return nil
}

func describeMode(f *zip.File) string {
	if f.CreatorVersion>>8 != creatorUnix {
		return "no Unix mode"
	}
	return f.Mode().String()
}

// sameList compares what the archive has with what its manifest says.
func sameList(entries []*zip.File, files []File) error {
	for i, f := range entries {
		if i >= len(files) {
			return refuse("%q is not in its manifest", f.Name)
		}
		want := files[i]
		switch {
		case f.Name != want.Path:
			return refuse("it has %q where its manifest has %q", f.Name, want.Path)
		case f.UncompressedSize64 != uint64(want.Size):
			return refuse("%q has %d bytes, its manifest says %d", f.Name, f.UncompressedSize64, want.Size)
		case uint32(f.Mode()) != want.mode():
			return refuse("%q has mode %s, its manifest says %04o", f.Name, f.Mode(), want.mode())
		}
	}
	if len(entries) < len(files) {
		return refuse("%q of its manifest is missing", files[len(entries)].Path)
	}
	return nil
}

// each calls fn for every entry of the archive and what it has to be. The
// manifest's own digest is not in it: its bytes are covered by the archive's.
func (a *archive) each(fn func(f *zip.File, want File) error) error {
	if err := fn(a.zip.File[0], File{Path: ManifestPath}); err != nil {
		return err
	}
	for i, want := range a.manifest.Files {
		if err := fn(a.zip.File[i+1], want); err != nil {
			return err
		}
	}
	return nil
}

// copyEntry copies an entry to w and fails when it is not what it has to be.
func copyEntry(ctx context.Context, w io.Writer, f *zip.File, want File) error {
	src, err := f.Open()
	if err != nil {
		return refuse("%q cannot be read: %w", want.Path, err)
	}
	defer src.Close()
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(w, sum), cancellable(ctx, src))
	if errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) {
		return refuse("%q is damaged: %w", want.Path, err)
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", want.Path, err)
	}
	if want.SHA256 != "" && want.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		return refuse("%q is not what its manifest says", want.Path)
	}
	return nil
}
