package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// endCommand carries out platform.Ender's EndCommand: the processes that bear
// the command's mark are asked to end, and after a moment they are ended.
func (e *environment) endCommand(ctx context.Context, f ship.Fence, name string) error {
	if !jobName.MatchString(name) || !jobName.MatchString(f.Run) {
		return ship.Errorf(ship.Invalid, "use letters, digits, '-', '_' and '.'", "%q of %q cannot name a command", name, f.Run)
	}
	e.granting.RLock()
	err := e.n.check(e.id, f)
	e.granting.RUnlock()
	if err != nil {
		return err
	}
	j := jobOf(e.runs(f.Run), name)
	var spec jobSpec
	switch err := readJSON(filepath.Join(j.dir, jobTask), &spec); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("end command %s: %w", name, err)
	}
	for signal, until := syscall.SIGTERM, time.Now().Add(jobGrace); ; pause(ctx, 20*time.Millisecond) {
		left := marked(jobMark)[spec.Token]
		if _, over, err := j.result(); len(left) == 0 && (over || err != nil) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, p := range left {
			_ = syscall.Kill(p.pid, signal)
		}
		if signal = 0; time.Now().After(until) {
			signal = syscall.SIGKILL
		}
	}
}
