package proxy_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
)

// A room is a door and whether somebody found it empty for good.
type room struct {
	proxy.Door
	empty atomic.Bool
}

// TestNobodyIsInsideADoorThatWasFoundEmpty is the swap without the network:
// the goroutines read which door is current and then dawdle, so that the door
// they come to is often the one before.
func TestNobodyIsInsideADoorThatWasFoundEmpty(t *testing.T) {
	const swaps = 5_000
	var current atomic.Pointer[room]
	first := &room{}
	current.Store(first)
	var stop atomic.Bool
	var entered, turned, wrong atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				d := current.Load()
				runtime.Gosched()
				if !d.Enter() {
					turned.Add(1)
					continue
				}
				entered.Add(1)
				if d.empty.Load() {
					wrong.Add(1)
				}
				d.Leave()
			}
		})
	}
	// On a busy machine all swaps may be over before the first of them runs.
	idle := func() bool { return entered.Load() == 0 || turned.Load() == 0 }
	for n, end := 0, time.Now().Add(time.Minute); n < swaps || idle() && time.Now().Before(end); n++ {
		next := &room{}
		old := current.Swap(next)
		old.Shut()
		for old.Inside() > 0 {
			runtime.Gosched()
		}
		old.empty.Store(true)
	}
	stop.Store(true)
	wg.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d of %d came in after the door was found empty", n, entered.Load())
	}
	if idle() {
		t.Errorf("%d came in and %d were turned back: the test shows nothing", entered.Load(), turned.Load())
	}
}

func TestASealedDoorTurnsBackThoseWhoComeLate(t *testing.T) {
	var d proxy.Door
	d.Open()
	d.Shut()
	if d.Enter() || !d.EnterLate() || d.Inside() != 1 {
		t.Error("a door that is shut must let in only those who come late")
	}
	d.Leave()
	d.Seal()
	if d.EnterLate() || d.Enter() || d.Inside() != 0 {
		t.Error("a sealed door let somebody in")
	}
	d.Open()
	if !d.Enter() {
		t.Error("a door that was opened again lets nobody in")
	}
}
