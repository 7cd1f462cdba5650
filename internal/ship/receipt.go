package ship

import (
	"fmt"
	"strings"
	"time"
)

// A Receipt counts what a swap did to the requests under way.
type Receipt struct {
	From     Slot          `json:"from"`
	To       Slot          `json:"to"`
	At       time.Time     `json:"at"`
	InFlight int64         `json:"in_flight"` // on the old slot at the swap
	Drained  int64         `json:"drained"`   // of those, ended by themselves or where nothing was cut in two
	Cut      int64         `json:"cut"`       // of those, cut at the deadline
	Took     time.Duration `json:"took"`      // the drain

	// Protocols are the requests that were in flight by what they spoke.
	Protocols map[Protocol]Ending `json:"protocols,omitempty"`
	// The rest counts the requests to either slot from the swap to the end of
	// the drain, with those that were in flight at the swap.
	Admitted int64 `json:"admitted"`
	Finished int64 `json:"finished"` // they got a whole answer
	Lost     int64 `json:"lost"`     // they got none, or not all of it, and were not cut
	GivenUp  int64 `json:"given_up"` // the client went away
}

// A Protocol is what a request speaks.
type Protocol string

// The protocols that a drain treats each in its way.
const (
	HTTP      Protocol = "http"
	WebSocket Protocol = "websocket"
	SSE       Protocol = "sse"     // an event stream
	Upgrade   Protocol = "upgrade" // any other protocol a connection was upgraded to
)

// AllProtocols returns every protocol, in the order in which they are told.
func AllProtocols() []Protocol { return []Protocol{HTTP, WebSocket, SSE, Upgrade} }

// Name is what people call a request that speaks the protocol: 1 request, 2
// event streams.
func (p Protocol) Name(n int64) string {
	name := map[Protocol]string{WebSocket: "WebSocket", SSE: "event stream", Upgrade: "upgraded connection"}[p]
	if name == "" {
		name = "request"
	}
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}

// An Ending counts how the requests of a protocol ended in a drain.
type Ending struct {
	Drained int64 `json:"drained"` // by themselves
	Closed  int64 `json:"closed"`  // by us, between two messages, with a farewell
	Cut     int64 `json:"cut"`     // by us, at the deadline
}

// Total is how many there were.
func (e Ending) Total() int64 { return e.Drained + e.Closed + e.Cut }

// String is the receipt in a sentence without its end: "3 requests and 1
// WebSocket were under way at the swap: 3 ended by themselves, 1 was closed
// between two messages; none was lost".
func (r Receipt) String() string {
	text := "nothing was under way at the swap"
	if total := r.total(); total.Total() > 0 {
		text = r.subjects() + verb(total.Total()) + "under way at the swap: " + total.String()
		if r.Took >= time.Millisecond {
			text += fmt.Sprintf(", within %s", r.Took.Round(time.Millisecond))
		}
	}
	switch {
	case r.Lost > 0:
		text += fmt.Sprintf("; %d of %s meanwhile%slost", r.Lost, HTTP.Name(r.Admitted), verb(r.Lost))
	case r.Admitted > 0:
		text += "; none was lost"
	}
	return text
}

// total adds up how the requests ended; one of an older node tells no
// protocols.
func (r Receipt) total() Ending {
	if len(r.Protocols) == 0 {
		return Ending{Drained: r.Drained, Cut: r.Cut}
	}
	var sum Ending
	for _, e := range r.Protocols {
		sum.Drained += e.Drained
		sum.Closed += e.Closed
		sum.Cut += e.Cut
	}
	return sum
}

// subjects says how many of which protocol there were.
func (r Receipt) subjects() string {
	if len(r.Protocols) == 0 {
		return HTTP.Name(r.total().Total())
	}
	all := map[Protocol]int64{}
	for p, e := range r.Protocols {
		all[p] = e.Total()
	}
	return Enumerate(all)
}

// Enumerate says how many requests of which protocol there are: "1 request, 2
// WebSockets and 1 event stream"; "" when there is none.
func Enumerate(requests map[Protocol]int64) string {
	var all []string
	for _, p := range AllProtocols() {
		if n := requests[p]; n > 0 {
			all = append(all, p.Name(n))
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// String says how many ended in which way, and leaves out what nothing did.
func (e Ending) String() string {
	var parts []string
	if e.Drained == 1 {
		parts = append(parts, "1 ended by itself")
	} else if e.Drained > 1 {
		parts = append(parts, fmt.Sprintf("%d ended by themselves", e.Drained))
	}
	if e.Closed > 0 {
		parts = append(parts, fmt.Sprintf("%d%sclosed between two messages", e.Closed, verb(e.Closed)))
	}
	if e.Cut > 0 {
		parts = append(parts, fmt.Sprintf("%d%scut at the deadline", e.Cut, verb(e.Cut)))
	}
	return strings.Join(parts, ", ")
}

func verb(n int64) string {
	if n == 1 {
		return " was "
	}
	return " were "
}
