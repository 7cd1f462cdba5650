package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A node whose disk is full takes a bad release back all the same. One that is
// killed before it could write that down does it again, and the run ends as if
// nothing had been.
func TestANodeKilledBeforeItRecordedThatItTookAReleaseBackDoesItAgain(t *testing.T) {
	t.Parallel()
	for name, withWorker := range map[string]bool{"supervisor": false, "whole node": true} {
		t.Run(name, func(t *testing.T) {
			w := faultyWorld(t, nil)
			y := newWard(t, w, "{for: 2m, error_rate: 1%}")
			y.first()
			tr := y.visit(30)
			y.next()
			c := y.begin("deploy", "production")
			y.swapped(2)
			w.arm("write state.json", "ENOSPC always")
			y.ail("v2", "errors=1")
			w.eventually(time.Minute, "traffic is given back", func() error {
				if who := y.serving(); who != "v1" {
					return fmt.Errorf("%s serves", who)
				}
				return nil
			})
			if !w.has("write state.json.hit") {
				t.Fatal("nothing was to be written")
			}
			was := w.nodeInfo()
			w.kill(was.PID)
			if withWorker {
				w.kill(was.Worker)
			}
			w.disarm()
			w.eventually(time.Minute, "the node is back", func() error {
				if now := w.nodeInfo(); now.PID == was.PID {
					return errors.New("it is the old one")
				}
				return nil
			})
			e := c.wait()
			e.expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 1)
			w.eventually(time.Minute, "the node has recorded it", func() error {
				o := y.observe()
				if o.Slots[o.Active].Release.Number != 1 || o.Watch == nil || o.Watch.Verdict.Outcome != ship.Fail {
					return fmt.Errorf("active %s, watch %+v", o.Active, o.Watch)
				}
				return nil
			})
			if who := y.serving(); who != "v1" {
				t.Errorf("%s serves", who)
			}
			s := tr.end()
			t.Logf("%s; %s", e.Reason, s)
		})
	}
}
