package node

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shiplock/shiplock/internal/release"
)

// What is kept besides what runs.
const (
	keepReleases  = 5
	keepRuns      = 50
	keepArtifacts = 24 * time.Hour // those no environment has prepared; they can be uploaded again
)

// prune removes releases, virtual environments and records of commands that
// are old and not in use. What cannot be removed stays until the next time.
// The lock of the preparation is held, so nothing new appears meanwhile.
func (e *environment) prune(digest string) {
	used := map[string]bool{short(digest): true}
	venvs := map[string]bool{}
	if s := e.now(); s != nil {
		for _, slot := range s.Slots {
			used[filepath.Base(slot.Dir)] = true
			venvs[filepath.Base(slot.Venv)] = true
		}
	}
	for i, name := range newestFirst(e.seals()) {
		path := filepath.Join(e.seals(), name)
		id := name[:len(name)-len(filepath.Ext(name))]
		var s seal
		if i >= keepReleases && !used[id] {
			// The seal goes first: a folder without one is not prepared.
			if os.Remove(path) == nil {
				_ = os.RemoveAll(filepath.Join(e.releases(), id))
			}
		} else if readJSON(path, &s) == nil {
			venvs[filepath.Base(s.Venv)] = true
		}
	}
	for _, name := range newestFirst(e.venvs()) {
		if !venvs[name] {
			_ = os.RemoveAll(filepath.Join(e.venvs(), name))
		}
	}
	for i, run := range newestFirst(filepath.Join(e.jobs(), "runs")) {
		if s := e.now(); i >= keepRuns && (s == nil || s.Grantee != run) {
			_ = os.RemoveAll(e.runs(run))
		}
	}
}

// pruneWhatIsOld removes what the last preparations made superfluous, where none
// is under way. Nobody waits for it.
func (n *node) pruneWhatIsOld() {
	pruned := false
	for _, e := range n.all() {
		digest := e.prepared.Swap(nil)
		if digest == nil {
			continue
		}
		select {
		case e.preparing <- struct{}{}:
			e.prune(*digest)
			<-e.preparing
			pruned = true
		default:
			e.prepared.CompareAndSwap(nil, digest) // the next time
		}
	}
	if !pruned {
		return
	}
	if err := n.pruneArtifacts(); err != nil {
		n.Log.Warn("old artifacts were not removed", "error", err)
	}
}

// newReleases opens the node's artifacts, which it only unpacks.
func newReleases(dir string) (*release.Store, error) {
	s, err := release.NewStore(filepath.Join(dir, "artifacts"))
	if err == nil {
		s.Unread = true
	}
	return s, err
}

// pruneArtifacts removes archives that no environment needs.
func (n *node) pruneArtifacts() error {
	digests, err := n.releases.List()
	if err != nil {
		return err
	}
	for _, digest := range digests {
		used, err := filepath.Glob(filepath.Join(n.Dir, "apps", "*", "*", "seals", short(digest)+".json"))
		if err != nil || len(used) > 0 {
			continue
		}
		f, err := n.releases.Open(digest)
		if err != nil {
			continue
		}
		info, err := f.Stat()
		_ = f.Close()
		if err != nil || time.Since(info.ModTime()) < keepArtifacts {
			continue
		}
		if err := n.releases.Delete(digest); err != nil {
			return err
		}
	}
	return nil
}

// newestFirst lists a folder's names, the last changed first.
func newestFirst(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	times := map[string]time.Time{}
	var names []string
	for _, d := range entries {
		if info, err := d.Info(); err == nil {
			names = append(names, d.Name())
			times[d.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(times[b].Compare(times[a]), cmp.Compare(a, b))
	})
	return names
}
