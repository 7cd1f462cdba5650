package proxy

import (
	"strings"
	"sync"
	"time"
)

const (
	// firstFailures and lastFailures bound what is kept of the requests that
	// failed: the first ones say when it began, the last ones how it is now.
	firstFailures, lastFailures = 10, 30
	longestPath                 = 200
)

// A Failure is a request that failed, as far as people may see it: there is
// neither query nor body nor any header but the request's id.
type Failure struct {
	At     time.Time     `json:"at"`
	Method string        `json:"method"`
	Path   string        `json:"path"`             // without the query, cut when long
	Status int           `json:"status,omitempty"` // of the application's answer; 0 is none
	Cause  string        `json:"cause,omitempty"`  // unless it was the status: "no answer", "no answer in time", "answer broken off", "no connection"
	Took   time.Duration `json:"took"`
	ID     string        `json:"id"` // X-Request-Id
}

// failures keeps the first and the last few.
type failures struct {
	mu    sync.Mutex
	first []Failure
	last  []Failure // a ring
	next  int
}

func (f *failures) add(one Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(f.first) < firstFailures:
		f.first = append(f.first, one)
	case len(f.last) < lastFailures:
		f.last = append(f.last, one)
	default:
		f.last[f.next] = one
		f.next = (f.next + 1) % lastFailures
	}
}

// read returns what is kept, oldest first.
func (f *failures) read() []Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := append([]Failure{}, f.first...)
	all = append(all, f.last[f.next:]...)
	return append(all, f.last[:f.next]...)
}

// failure describes the exchange, which has failed.
func (ex *exchange) describe(cause string) Failure {
	path := strings.ToValidUTF8(ex.in.URL.Path, "�")
	if len(path) > longestPath {
		path = strings.ToValidUTF8(path[:longestPath], "") + "…"
	}
	return Failure{
		At: time.Now().UTC(), Method: ex.in.Method, Path: path, Status: ex.status, Cause: cause,
		Took: ex.clock.elapsed().Round(time.Microsecond), ID: ex.id,
	}
}
