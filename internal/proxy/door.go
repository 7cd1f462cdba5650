package proxy

import "sync/atomic"

// A door counts the requests inside and can be shut without a lock.
//
// Atomics are sequentially consistent: whoever enters counts itself first and
// looks at the door second, whoever shuts it shuts first and counts second. So
// either the one who enters sees the door shut and turns back, or the one who
// shut it sees the other inside. No request slips by uncounted.
type door struct {
	inside atomic.Int64
	shut   atomic.Bool
	// sealed is stronger than shut: it turns back even those that come in by
	// enterLate, so that an empty sealed door stays empty.
	sealed atomic.Bool
}

// enter tells whether the caller is inside; if so it must leave.
func (d *door) enter() bool {
	d.inside.Add(1)
	if !d.shut.Load() {
		return true
	}
	d.inside.Add(-1)
	return false
}

// enterLate lets in the requests that the successor could not take, as long
// as the door is not sealed.
func (d *door) enterLate() bool {
	d.inside.Add(1)
	if !d.sealed.Load() {
		return true
	}
	d.inside.Add(-1)
	return false
}

func (d *door) leave() { d.inside.Add(-1) }

func (d *door) open() {
	d.sealed.Store(false)
	d.shut.Store(false)
}

func (d *door) seal() {
	d.shut.Store(true)
	d.sealed.Store(true)
}
