// Package deadline has moments that processes agree on and that stay where they
// are when somebody sets the clock. It knows the machine's two clocks, and
// refuses to know what is due.
package deadline

import (
	"os"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/failpoint"
)

// A Deadline is a moment that can be written down. As long as the machine runs
// it is told by the time since its start, which nobody sets; after that by the
// clock on the wall.
type Deadline struct {
	Until time.Time     `json:"until,omitzero"`
	Boot  string        `json:"until_boot,omitempty"`
	Up    time.Duration `json:"until_up,omitempty"` // since that boot
}

// In returns the moment in d from now.
func In(d time.Duration) Deadline {
	at := Deadline{Until: failpoint.Now().Add(d)}
	if boot, up, ok := running(); ok {
		at.Boot, at.Up = boot, up+d
	}
	return at
}

// Left tells how long it is until the moment; it is negative afterwards.
func (d Deadline) Left() time.Duration {
	if boot, up, ok := running(); ok && d.Boot == boot {
		return d.Up - up
	}
	return d.Until.Sub(failpoint.Now())
}

// running names this boot of the machine and tells how long ago it was, its
// sleep included. Only Linux says so.
func running() (boot string, up time.Duration, ok bool) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0, false
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", 0, false
	}
	seconds, _, _ := strings.Cut(string(text), " ")
	up, err = time.ParseDuration(seconds + "s")
	return strings.TrimSpace(string(id)), up, err == nil
}
