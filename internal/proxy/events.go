package proxy

import (
	"io"
	"sync"
)

// An eventScan follows an event stream just far enough to know where an event
// ends: at an empty line. Lines end with CR, LF or both. Comments belong to no
// event.
type eventScan struct {
	inLine  bool // something of the line has come
	comment bool // the line is a comment
	open    bool // a line of the event has come
	cr      bool // the last byte was a CR, an LF belongs to it
}

// between tells whether no event has begun that is not whole.
func (s *eventScan) between() bool { return !s.inLine && !s.open }

// advance follows p and returns the last place in it where no event is cut in
// two, which is 0 when only its begin is one, and -1 when there is none.
func (s *eventScan) advance(p []byte) int {
	edge := -1
	if s.between() {
		edge = 0
	}
	for i, c := range p {
		if c == '\n' && s.cr {
			s.cr = false
			if s.between() {
				edge = i + 1
			}
			continue
		}
		s.cr = c == '\r'
		if c != '\n' && c != '\r' {
			if !s.inLine {
				s.inLine, s.comment = true, c == ':'
			}
			continue
		}
		switch {
		case !s.inLine:
			s.open = false
		case !s.comment:
			s.open = true
		}
		s.inLine = false
		if s.between() {
			edge = i + 1
		}
	}
	return edge
}

// An eventBody is the body of an event stream, which it can end between two
// events, so that the client sees a whole answer and asks again.
type eventBody struct {
	io.ReadCloser
	ex    *exchange
	plain bool // of unknown length and not encoded, so that it can end after any event

	mu     sync.Mutex
	scan   eventScan
	ending bool
	parted bool // it ended because we wanted it to
}

func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parted {
		return 0, io.EOF
	}
	edge := b.scan.advance(p[:n])
	if b.ending && b.plain && edge >= 0 && err != io.EOF {
		b.parted = true
		return edge, io.EOF
	}
	if err != nil && err != io.EOF && !b.ex.clientGone() {
		b.ex.broken = err
	}
	return n, err
}

// ask ends the stream now, if it is between two events, or else after the
// event that is on its way.
func (b *eventBody) ask() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending = true
	if b.plain && b.scan.between() {
		b.ex.stop()
	}
}

// cut ends the stream now, also in the middle of an event.
func (b *eventBody) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending = true
	b.ex.stop()
}

func (b *eventBody) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.parted
}
