package node

import (
	"strings"
	"syscall"
	"time"
)

// reapGrace is between SIGTERM and SIGKILL for a process nobody wants.
const reapGrace = 5 * time.Second

// reap ends the processes that bear this node's mark and belong to no instance
// that should run: a node was killed while it stopped or had just started
// them.
func (n *node) reap(found map[string][]proc, wanted map[string]bool) {
	for mark, procs := range found {
		if wanted[mark] || !strings.HasPrefix(mark, n.Dir+"|") {
			continue
		}
		for _, p := range procs {
			old, ok := n.takeBack(p)
			if !ok {
				continue
			}
			n.Log.Warn("ended a process that no instance needs", "pid", p.pid)
			n.life.Go(func() {
				if p.pid != p.session { // its group is not its own
					_ = syscall.Kill(p.pid, syscall.SIGTERM)
				}
				old.end(reapGrace)
			})
		}
	}
}
