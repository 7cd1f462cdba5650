package proxy

import "time"

// A Door is a door for tests to enter from many goroutines.
type Door struct{ door }

// Enter, Leave, Open, Shut, Seal and Inside are the door's own.
func (d *Door) Enter() bool     { return d.enter() }
func (d *Door) EnterLate() bool { return d.enterLate() }
func (d *Door) Leave()          { d.leave() }
func (d *Door) Open()           { d.open() }
func (d *Door) Shut()           { d.shut.Store(true) }
func (d *Door) Seal()           { d.seal() }
func (d *Door) Inside() int64   { return d.inside.Load() }

// HistogramOf returns the histogram of durations.
func HistogramOf(durations ...time.Duration) Histogram {
	var r recorder
	for _, d := range durations {
		r.add(d)
	}
	return r.read()
}

// Frames follows a WebSocket in tests.
type Frames struct{ frames }

// NewFrames returns one at the beginning of a stream.
func NewFrames() *Frames { return &Frames{} }

// Advance and Between are the scanner's own.
func (f *Frames) Advance(p []byte) (edge, closing int) { return f.advance(p) }
func (f *Frames) Between() bool                        { return f.between() }

// EventEdge returns the last boundary of an event stream that comes in pieces.
func EventEdge(pieces ...string) int {
	var s eventScan
	edge, at := -1, 0
	for _, p := range append(pieces, "") {
		if e := s.advance([]byte(p)); e >= 0 {
			edge = at + e
		}
		at += len(p)
	}
	return edge
}
