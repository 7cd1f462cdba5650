package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/shiplock/shiplock/internal/ship"
)

// user looks at the account the application runs as.
func (d *doctor) user(_ context.Context, env ship.Environment) (out findings) {
	name := env.Run.User
	if name == "" {
		if os.Geteuid() == 0 {
			out.add("user", warn, "set run.user to an account without rights of its own", "the application runs as root")
		}
		return out
	}
	u, err := user.Lookup(name)
	switch {
	case err != nil:
		out.add("user", fail, "useradd --system "+name, "the account %s is not there", name)
	case os.Geteuid() != 0 && fmt.Sprint(os.Geteuid()) != u.Uid:
		out.add("user", fail, "run the node as root, or leave run.user out", "only root can start processes as %s", name)
	default:
		out.add("user", fine, "", "%s (%s)", name, u.Uid)
	}
	if u != nil && as(name) != nil {
		d.reachable(name, &out)
	}
	return out
}

// reachable looks for a folder above the releases that another user cannot
// pass through. What is not there yet is made by us.
func (d *doctor) reachable(name string, out *findings) {
	for dir := d.data; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			out.add("user", fail, "chmod o+x "+dir, "%s cannot reach its releases, because %s is closed to others", name, dir)
		}
		if dir == filepath.Dir(dir) {
			return
		}
	}
}

// as makes a command run as another account, where there is one to change to.
func as(name string) *syscall.SysProcAttr {
	if name == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil || u.Uid == "0" {
		return nil
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
