// Package release turns a tree of files into an immutable archive and back. It
// knows trees, archives, digests and the store where archives are kept. It
// refuses to know environments, runs and databases: what a release is deployed
// to, and when, is decided elsewhere.
//
// An archive is a zip whose bytes depend on nothing but the packed files, the
// commit and the migrations, so that two machines that pack the same tree get
// the same digest. Its first entry, [ManifestPath], lists every other one with
// its digest.
package release

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// ManifestPath is where an archive, and an unpacked tree, has its manifest.
// The folder it is in belongs to shiplock and is never packed.
const ManifestPath = ownFolder + "/manifest.json"

const ownFolder = ".shiplock"

// ManifestSchema is the version of [Manifest] this program writes and reads.
const ManifestSchema = 1

// A Manifest says what is in a release. Files are sorted by path.
type Manifest struct {
	Schema     int              `json:"schema"`
	App        string           `json:"app"`
	Commit     string           `json:"commit,omitempty"` // "" when unknown
	Dirty      bool             `json:"dirty,omitempty"`  // packed files differ from the commit
	Files      []File           `json:"files"`
	Migrations []ship.Migration `json:"migrations,omitempty"`
}

// A File is one file of a release.
type File struct {
	Path       string `json:"path"` // slash-separated, relative to the tree
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"` // 64 hexadecimal digits
	Executable bool   `json:"executable,omitempty"`
}

// Limits bound what is packed and unpacked. There is no limit on a compression
// ratio because an archive is never compressed: see [Pack].
type Limits struct {
	Bytes int64 // of all files together
	Files int
	Depth int // folders above a file, and the file itself
	Path  int // bytes of a path; a single name has at most 255
}

// DefaultLimits are far above what a web application needs and far below what
// would hurt a machine.
func DefaultLimits() Limits {
	return Limits{Bytes: 2 << 30, Files: 100_000, Depth: 64, Path: 1024}
}

func (l Limits) orDefault() Limits {
	if l == (Limits{}) {
		return DefaultLimits()
	}
	return l
}

const (
	// maxFile is what a zip can say of one file without its 64-bit extension.
	maxFile     = 1<<32 - 2
	maxManifest = 64 << 20
)

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	sumForm    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func checkDigest(digest string) error {
	if !digestForm.MatchString(digest) {
		return ship.Errorf(ship.Invalid, "a digest is sha256: and 64 hexadecimal digits", "%q is not a digest", digest)
	}
	return nil
}

func refuse(format string, args ...any) error {
	return ship.Errorf(ship.Invalid, "pack the release again with shiplock", "archive refused: "+format, args...)
}

// readManifest decodes and checks a manifest that may come from anybody.
func readManifest(r io.Reader, l Limits) (*Manifest, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, refuse("its manifest cannot be read: %w", err)
	}
	if len(data) > maxManifest {
		return nil, refuse("its manifest has more than %d bytes", maxManifest)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, refuse("its manifest is not valid: %w", err)
	}
	if m.Schema != ManifestSchema {
		return nil, ship.Errorf(ship.Invalid, "use the version of shiplock that packed it, or a newer one",
			"archive has manifest schema %d, this program reads %d", m.Schema, ManifestSchema)
	}
	if err := checkFiles(m.Files, l); err != nil {
		return nil, refuse("%w", err)
	}
	return &m, nil
}

// checkFiles is the one judge of what files a release may have. It is asked
// before a tree is packed and again before one is unpacked, so that whatever
// can be packed can be unpacked everywhere.
func checkFiles(files []File, l Limits) error {
	if len(files) > l.Files {
		return fmt.Errorf("%d files are more than the %d allowed", len(files), l.Files)
	}
	var total int64
	names := newSpellings()
	for i, f := range files {
		if err := checkPath(f.Path, l); err != nil {
			return err
		}
		if i > 0 && f.Path <= files[i-1].Path {
			return fmt.Errorf("%q is listed twice or out of order", f.Path)
		}
		if err := names.add(f.Path); err != nil {
			return err
		}
		if f.Size < 0 || f.Size > maxFile || f.Size > l.Bytes-total {
			return fmt.Errorf("with %q there are more than the %d bytes allowed", f.Path, l.Bytes)
		}
		total += f.Size
		if !sumForm.MatchString(f.SHA256) {
			return fmt.Errorf("%q has no valid digest", f.Path)
		}
	}
	return nil
}

func (m *Manifest) artifact(digest string, size int64) ship.Artifact {
	return ship.Artifact{Digest: digest, Size: size, Files: len(m.Files), Commit: m.Commit, Dirty: m.Dirty}
}

func (f File) mode() uint32 {
	if f.Executable {
		return 0o755
	}
	return 0o644
}

func isOwn(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.EqualFold(first, ownFolder)
}
