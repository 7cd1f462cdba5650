package release

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/shiplock/shiplock/internal/ship"
)

// PackOptions say what to pack.
type PackOptions struct {
	Dir string // the tree
	App string
	// Exclude are patterns in the syntax of .gitignore files, relative to Dir,
	// which have the last word: "!dist/" brings back what one of the tree's
	// .gitignore files excludes.
	Exclude []string
	// Migrations, when not nil, reads the release's migrations from the files
	// that are packed.
	Migrations func(tree fs.FS) ([]ship.Migration, error)
	Limits     Limits                  // zero means DefaultLimits
	Progress   func(done, total int64) // when not nil; bytes, each file is read twice
}

// Pack writes the tree's archive to w, nothing when it fails.
//
// Left out are .git, .hg, .svn and .shiplock always; by default __pycache__,
// *.pyc, .venv, node_modules/.cache, .env and .env.*; whatever the tree's
// .gitignore files say; and the patterns in Exclude. Folders without a file
// are not kept. A link is followed when it leads to a packed file, otherwise
// it is refused, and so is everything that is no plain file.
//
// The archive is stored, not compressed. The output of Go's deflate may change
// from one version of Go to the next, and then the same tree would have two
// digests; and what is not compressed cannot be a bomb.
func Pack(ctx context.Context, o PackOptions, w io.Writer) (ship.Artifact, *Manifest, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return ship.Artifact{}, nil, ship.Errorf(ship.Invalid, "name a folder", "pack: %w", err)
	}
	defer root.Close()
	p := &packer{root: root, progress: o.Progress}
	m, err := p.survey(ctx, o)
	if err != nil {
		return ship.Artifact{}, nil, err
	}
	tmp, err := os.CreateTemp("", "shiplock-pack-*")
	if err != nil {
		return ship.Artifact{}, nil, fmt.Errorf("pack: %w", err)
	}
	defer func() {
		_ = tmp.Close()
		_ = os.Remove(tmp.Name())
	}()
	sum := sha256.New()
	if err := p.write(ctx, m, io.MultiWriter(tmp, sum)); err != nil {
		return ship.Artifact{}, nil, err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return ship.Artifact{}, nil, fmt.Errorf("pack: %w", err)
	}
	size, err := io.Copy(w, cancellable(ctx, tmp))
	if err != nil {
		return ship.Artifact{}, nil, fmt.Errorf("hand over the archive: %w", err)
	}
	return m.artifact("sha256:"+hex.EncodeToString(sum.Sum(nil)), size), m, nil
}

// A packer packs one tree.
type packer struct {
	root     *os.Root
	crcs     []uint32 // of the manifest's files
	progress func(done, total int64)
	done     int64
	total    int64
}

// survey reads the whole tree once, because the manifest with every digest
// comes first in the archive.
func (p *packer) survey(ctx context.Context, o PackOptions) (*Manifest, error) {
	ex := newExclusion(o.Exclude)
	limits := o.Limits.orDefault()
	files, err := choose(ctx, p.root, ex, limits)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		p.total += 2 * f.Size
	}
	p.crcs = make([]uint32, len(files))
	for i := range files {
		if err := p.read(ctx, &files[i], &p.crcs[i], io.Discard); err != nil {
			return nil, err
		}
	}
	if err := checkFiles(files, limits); err != nil {
		return nil, ship.Errorf(ship.Invalid, "rename it, or add it to release.exclude", "the tree cannot be packed: %w", err)
	}
	m := &Manifest{Schema: ManifestSchema, App: o.App, Files: files}
	if m.Commit, m.Dirty, err = commitOf(ctx, o.Dir, ex); err != nil {
		return nil, err
	}
	if o.Migrations != nil {
		if m.Migrations, err = o.Migrations(newSelection(p.root.FS(), files)); err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
	}
	return m, nil
}

// read copies a file to w and notes its size, digest and CRC as read.
func (p *packer) read(ctx context.Context, f *File, crc *uint32, w io.Writer) error {
	src, err := p.root.Open(f.Path)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	defer src.Close()
	sum, check := sha256.New(), crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(w, sum, check, meter{p}), cancellable(ctx, src))
	if err != nil {
		return fmt.Errorf("pack %s: %w", f.Path, err)
	}
	f.Size, f.SHA256, *crc = n, hex.EncodeToString(sum.Sum(nil)), check.Sum32()
	return nil
}

func (p *packer) write(ctx context.Context, m *Manifest, w io.Writer) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if len(data) > maxManifest {
		return ship.Errorf(ship.Invalid, "exclude files the application does not need (release.exclude)",
			"the manifest would have more than %d bytes", maxManifest)
	}
	z := zip.NewWriter(w)
	out, err := z.CreateRaw(header(File{Path: ManifestPath, Size: int64(len(data))}, crc32.ChecksumIEEE(data)))
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if _, err := out.Write(data); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	for i, f := range m.Files {
		if out, err = z.CreateRaw(header(f, p.crcs[i])); err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
		again, crc := f, uint32(0)
		if err := p.read(ctx, &again, &crc, out); err != nil {
			return err
		}
		if again != f {
			return ship.Errorf(ship.Invalid, "pack again when nothing writes to the tree", "%s changed while it was packed", f.Path)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}

// header describes an entry with nothing in it that depends on the machine.
// The entry is raw, so that size and CRC stand before the data and no
// descriptor follows it.
func header(f File, crc uint32) *zip.FileHeader {
	h := &zip.FileHeader{
		Name:               f.Path,
		Method:             zip.Store,
		Flags:              utf8Flag,
		ReaderVersion:      20,
		CRC32:              crc,
		CompressedSize64:   uint64(f.Size),
		UncompressedSize64: uint64(f.Size),
		//lint:ignore SA1019 1980-01-01; a raw entry ignores Modified
		ModifiedDate: 1<<5 | 1, //nolint:staticcheck // 1980-01-01; a raw entry ignores Modified
	}
	h.SetMode(fs.FileMode(f.mode()))
	return h
}

// cancellable returns r, failing from the end of ctx on.
func cancellable(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type meter struct{ p *packer }

func (m meter) Write(b []byte) (int, error) {
	m.p.done += int64(len(b))
	if m.p.progress != nil {
		m.p.progress(m.p.done, m.p.total)
	}
	return len(b), nil
}
