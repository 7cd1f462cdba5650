package node

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/shiplock/shiplock/internal/ship"
)

// link puts a link to the shared folder in the release's place of it. What
// the first release brings there becomes the shared folder's content.
func (e *environment) link(root *os.Root, tmp, dir, user string) error {
	if !filepath.IsLocal(dir) || filepath.Clean(dir) == "." {
		return ship.Errorf(ship.Invalid, "name a folder inside the release", "%q is not a folder within the release", dir)
	}
	target := filepath.Join(e.shared(), filepath.Clean(dir))
	if err := os.MkdirAll(filepath.Dir(target), 0o711); err != nil {
		return err
	}
	if err := root.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
		return err
	}
	if info, err := root.Lstat(dir); err == nil && info.IsDir() && !exists(target) {
		if err := os.Rename(filepath.Join(tmp, dir), target); err != nil {
			return err
		}
	}
	if err := os.Mkdir(target, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	owner, err := credential(user)
	if err != nil {
		return err
	}
	if owner != nil {
		if err := os.Chown(target, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if err := root.RemoveAll(dir); err != nil {
		return err
	}
	return root.Symlink(target, dir)
}

// openTo makes the way to the environment's folders searchable when another
// user has to go it. Its names cannot be listed, and everything beside the
// releases stays closed.
func (e *environment) openTo(user string) error {
	if user == "" {
		return nil
	}
	owner, err := credential(user)
	if err != nil || owner == nil {
		return err
	}
	for dir := filepath.Dir(e.n.Dir); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("open the node's folder: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return ship.Errorf(ship.Failed, "chmod o+x "+dir, "user %s cannot reach its release, because %s is closed to others", user, dir)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if err := os.Chmod(e.n.Dir, 0o711); err != nil {
		return fmt.Errorf("open the node's folder: %w", err)
	}
	return os.Chown(e.cache(), int(owner.Uid), int(owner.Gid))
}
