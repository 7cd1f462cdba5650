package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/traceback"
)

// prepareTimeout bounds each command of a preparation.
const prepareTimeout = 30 * time.Minute

// prepareSpec is a release on its way to be prepared.
type prepareSpec struct {
	platform.Spec
	dir string
	env environ
}

func (s prepareSpec) user() string   { return s.Environment.Run.User }
func (s prepareSpec) digest() string { return s.Release.Artifact.Digest }

// settings is a hash of what besides the artifact decides what a preparation
// does, so that a changed command is not taken for one that was carried out.
func (s prepareSpec) settings() string {
	r := s.Environment.Run
	data, err := json.Marshal([]any{r.Python, r.Prepare, r.Shared, r.User})
	if err != nil {
		return "" // plain data: it cannot fail
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func (e *environment) releaseDir(digest string) string {
	return filepath.Join(e.releases(), short(digest))
}

// preparations is the folder of the commands that prepare a release.
func (e *environment) preparations(digest string) string {
	return filepath.Join(e.jobs(), "prepare", short(digest))
}

// prepare carries out platform.Platform's Prepare. What was done of it before
// a crash is found again; what failed is removed, so that the next try is new.
func (e *environment) prepare(ctx context.Context, spec platform.Spec) (platform.Prepared, error) {
	unlock, err := e.preparing.take(ctx)
	if err != nil {
		return platform.Prepared{}, err
	}
	defer unlock()
	if err := e.folders(); err != nil {
		return platform.Prepared{}, err
	}
	digest := spec.Release.Artifact.Digest
	if !e.n.releases.Has(digest) {
		return platform.Prepared{}, ship.Errorf(ship.NotFound, "upload it first", "artifact %s is not on this machine", digest)
	}
	p := prepareSpec{spec, e.releaseDir(digest), nil}
	sealed, err := e.readSeal(digest)
	if err != nil {
		return platform.Prepared{}, err
	}
	if sealed != nil {
		stale := e.stale(ctx, p, sealed)
		if stale == nil {
			return platform.Prepared{Dir: p.dir, Took: "it was prepared before, at " + sealed.At.UTC().Format(time.RFC3339)}, nil
		}
		if ctx.Err() != nil {
			return platform.Prepared{}, stale
		}
		if e.inUse(digest) {
			return platform.Prepared{}, ship.Errorf(ship.Failed, "pack a new release, or stop the slot first",
				"release %s runs in %s and cannot be prepared anew: %w", short(digest), e.id, stale)
		}
		if err := e.discard(digest); err != nil {
			return platform.Prepared{}, err
		}
	}
	took, err := e.prepareNew(ctx, p)
	if err != nil {
		if ctx.Err() == nil {
			_ = e.discard(digest) // what cannot be removed now is removed by the next try
		}
		return platform.Prepared{}, err
	}
	e.prepared.Store(&digest)
	return platform.Prepared{Dir: p.dir, Took: took}, nil
}

// stale says why a prepared release cannot be used as it is, or returns nil.
func (e *environment) stale(ctx context.Context, p prepareSpec, s *seal) error {
	if s.Settings != p.settings() {
		return errors.New("it was prepared with other settings")
	}
	if s.Venv != "" && !exists(filepath.Join(s.Venv, venvDone)) {
		return errors.New("its virtual environment is gone")
	}
	_, err := e.verify(ctx, p.digest())
	return err
}

func (e *environment) prepareNew(ctx context.Context, p prepareSpec) (string, error) {
	if err := e.openTo(p.user()); err != nil {
		return "", err
	}
	m, err := e.n.releases.Manifest(p.digest())
	if err != nil {
		return "", err
	}
	untouched := p.Environment.Run.Python == nil && len(p.Environment.Run.Prepare) == 0
	if !exists(p.dir) {
		if err := e.unpack(ctx, p); err != nil {
			return "", err
		}
	} else {
		untouched = false // a crash came since: what is there is looked at
	}
	took := []string{fmt.Sprintf("unpacked %d files", len(m.Files))}
	var venv string
	if py := p.Environment.Run.Python; py != nil {
		var did string
		if venv, did, err = e.virtualenv(ctx, p, *py); err != nil {
			return "", err
		}
		took = append(took, did)
	}
	p.env = e.environ(p.Spec, "", venv)
	for i, argv := range p.Environment.Run.Prepare {
		if err := e.step(ctx, p, fmt.Sprintf("prepare-%d-%s", i+1, p.settings()), argv, p.env); err != nil {
			return "", err
		}
	}
	if n := len(p.Environment.Run.Prepare); n > 0 {
		took = append(took, fmt.Sprintf("ran %d commands", n))
	}
	if err := e.close(ctx, p, m, venv, untouched); err != nil {
		return "", err
	}
	return strings.Join(took, ", "), os.RemoveAll(e.preparations(p.digest()))
}

// step carries out one command of a preparation as a job.
func (e *environment) step(ctx context.Context, p prepareSpec, name string, argv ship.Argv, env environ) error {
	t, err := newTask(argv, p.dir, p.user(), env)
	if err != nil {
		return err
	}
	j := jobOf(e.preparations(p.digest()), name)
	r, err := e.n.runJob(ctx, j, jobSpec{Task: t, Name: name, Timeout: prepareTimeout}, nil)
	if err != nil {
		return err
	}
	return failure(strings.Join(argv, " "), r)
}

// failure makes an error of a result that is not good.
func failure(what string, r platform.Result) error {
	if r.Code == 0 && !r.Unknown {
		return nil
	}
	how := fmt.Sprintf("exit code %d", r.Code)
	if r.Unknown {
		how = "nobody saw how it ended"
	}
	out := strings.TrimSpace(string(r.Stderr))
	if out == "" {
		out = strings.TrimSpace(string(r.Stdout))
	}
	hint := ""
	if strings.Contains(out, "Permission denied") || strings.Contains(out, "PermissionError") {
		hint = "a prepared release cannot be written to: move a command that fills it from run.setup to run.prepare, or list the folder under run.shared"
	}
	return ship.Errorf(ship.Failed, hint, "%s failed: %s: %s", what, how, traceback.Reason([]byte(out), nil))
}

// unpack puts the release's folder in place, whole or not at all.
func (e *environment) unpack(ctx context.Context, p prepareSpec) error {
	if err := os.RemoveAll(e.preparations(p.digest())); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if err := removeAll(filepath.Join(e.releases(), ".new-*")); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	tmp, err := os.MkdirTemp(e.releases(), ".new-")
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer os.RemoveAll(tmp)
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	if _, err := e.n.releases.Unpack(ctx, p.digest(), root); err != nil {
		return err
	}
	if err := root.Chmod(".", 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	owner, err := credential(p.user())
	if err != nil {
		return err
	}
	if owner != nil {
		if err := own(root, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	for _, dir := range p.Environment.Run.Shared {
		if err := e.link(root, tmp, dir, p.user()); err != nil {
			return fmt.Errorf("shared folder %s: %w", dir, err)
		}
	}
	return os.Rename(tmp, p.dir)
}

// removeAll removes what a crash left under names that match.
func removeAll(pattern string) error {
	left, err := filepath.Glob(pattern)
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// discard removes a release and all that was done to prepare it.
func (e *environment) discard(digest string) error {
	for _, path := range []string{e.sealPath(digest), e.preparations(digest), e.releaseDir(digest)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove release: %w", err)
		}
	}
	return nil
}

// inUse tells whether a slot runs the release.
func (e *environment) inUse(digest string) bool {
	s := e.now()
	if s == nil {
		return false
	}
	for _, slot := range s.Slots {
		if slot.Started && slot.Spec.Release.Artifact.Digest == digest {
			return true
		}
	}
	return false
}
