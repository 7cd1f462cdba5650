package proxy

import (
	"sync"

	"github.com/shiplock/shiplock/internal/ship"
)

// A roster lists the exchanges inside a generation, so that a drain can find
// those of one protocol. It is a list through the exchanges themselves, which
// costs a request no memory.
type roster struct {
	mu    sync.Mutex
	first *exchange
}

func (r *roster) join(ex *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ex.next = r.first
	if r.first != nil {
		r.first.prev = ex
	}
	r.first = ex
}

func (r *roster) leave(ex *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ex.prev != nil {
		ex.prev.next = ex.next
	} else {
		r.first = ex.next
	}
	if ex.next != nil {
		ex.next.prev = ex.prev
	}
	ex.next, ex.prev = nil, nil
}

// all returns the exchanges that are wanted.
func (r *roster) all(wanted func(*exchange) bool) []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*exchange
	for ex := r.first; ex != nil; ex = ex.next {
		if wanted(ex) {
			found = append(found, ex)
		}
	}
	return found
}

// A stream is an answer without an end of its own.
type stream interface {
	ask()        // to end where nothing is cut in two
	cut()        // to end now
	whole() bool // it ended by ask or cut, and nothing was cut in two
}

// protocol tells what the exchange speaks by now.
func (ex *exchange) protocol() ship.Protocol {
	if p := ex.speaks.Load(); p != nil {
		return *p
	}
	return ship.HTTP
}

// last makes the exchange one that lasts. The stream can be asked to end from
// then on.
func (ex *exchange) last(p ship.Protocol, s stream) {
	ex.lasting, ex.stream = true, s
	ex.to.lastingOf(p).Add(1)
	ex.to.tally.lasting.Add(1)
	ex.speaks.Store(&p)
}

// cutOff ends the exchange at once. A request that waits for its answer fails
// with it; whether an answer was cut in two is seen when it ended.
func (ex *exchange) cutOff() {
	ex.wasCut.Store(true)
	if ex.protocol() == ship.HTTP {
		ex.stop()
		return
	}
	ex.stream.cut()
}
