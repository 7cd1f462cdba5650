// Package load sends requests to a web application and accounts for every one
// of them. It knows HTTP, rates and latencies. It refuses to know why the load
// is sent and what result is good enough.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Options describe a load. With a Rate it is open: requests are due at their
// times whatever the server does, and latency counts from when a request was
// due, so that a server that stalls cannot hide the requests that had to wait.
// Without, it is closed: each of the Workers is a user who sends the next
// request when the last was answered.
type Options struct {
	URL       string    // scheme://host:port
	Also      []string  // further servers of the same kind, which are asked in turn
	Host      string    // Host header; default that of URL
	Rate      float64   // requests a second; 0 is a closed load
	Workers   int       // requests at a time; default 64
	SpawnRate float64   // workers begun a second; 0 is all at once
	Think     Think     // of a closed load: between an answer and the next request
	Requests  []Request // default GET /
	// KeepAlive uses connections again. net/http repeats a GET whose used
	// connection turns out to be closed before any answer; that is counted as
	// Retried. A POST is never repeated. Without KeepAlive nothing is.
	KeepAlive bool
	Timeout   time.Duration // of one request; default 10s
	For       time.Duration // 0 is until the context ends
	Count     int64         // requests in all; 0 is no limit
	// Cut has the end of the context cut the requests under way, so that Run
	// returns at once. What was cut is counted with them that failed.
	Cut bool
	// Done, when not nil, is told of every answer, by many goroutines at once.
	Done func(Answer)
}

// A Request is one of the kinds of requests that are sent, in proportion to
// their weights.
type Request struct {
	Method string // default GET
	Path   string
	Weight int    // default 1
	Body   string // "$ID" in it becomes the request's id
	Type   string // content type of Body; default application/json
	Header map[string]string
}

// Think is for how long users think: between Min and Max, evenly spread.
type Think struct{ Min, Max time.Duration }

// IDHeader carries the unique id of a request. It is not Idempotency-Key,
// because net/http takes that as leave to send a POST twice.
const IDHeader = "X-Request-Id"

// An Answer is how one request ended.
type Answer struct {
	ID      string        `json:"id"`
	Method  string        `json:"method"`
	Path    string        `json:"path"`
	Status  int           `json:"status,omitempty"` // 0 when there was none
	Class   string        `json:"class,omitempty"`  // "" is good; see Snapshot.Failed
	Error   string        `json:"error,omitempty"`
	At      time.Time     `json:"at"` // when it was due
	Latency time.Duration `json:"latency"`
	Retried bool          `json:"retried,omitempty"`
}

const (
	defaultWorkers = 64
	maxWorkers     = 10_000
	defaultTimeout = 10 * time.Second
)

// A Load is a load that can be watched while it runs.
type Load struct {
	o      Options
	bases  []string
	pick   []Request // each as often as its weight
	client *http.Client
	prefix string
	next   atomic.Int64 // number of the next request
	tally  tally
}

// New returns a load that is not sent yet.
func New(o Options) (*Load, error) {
	var bases []string
	for _, text := range append([]string{o.URL}, o.Also...) {
		base, err := url.Parse(text)
		if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
			return nil, ship.Errorf(ship.Invalid, "write http://host:port", "load: %q is not the URL of a web server", text)
		}
		bases = append(bases, strings.TrimSuffix(base.String(), "/"))
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Workers < 0 || o.Workers > maxWorkers || o.Rate < 0 || o.SpawnRate < 0 || o.Timeout < 0 || o.Think.Min < 0 || o.Think.Max < 0 {
		return nil, ship.Errorf(ship.Invalid, "", "load: workers are 1 to %d, rates and times not negative", maxWorkers)
	}
	o.Think.Max = max(o.Think.Min, o.Think.Max)
	l := &Load{o: o, bases: bases, client: newClient(o), prefix: strconv.FormatUint(rand.Uint64(), 36)}
	l.tally.failed, l.tally.latency = map[string]*failures{}, newHistogram()
	var err error
	l.pick, err = spread(o.Requests)
	return l, err
}

// spread repeats each request by its weight, so that they can be picked by
// number alone.
func spread(all []Request) ([]Request, error) {
	if len(all) == 0 {
		all = []Request{{Path: "/"}}
	}
	var pick []Request
	for _, r := range all {
		if !strings.HasPrefix(r.Path, "/") {
			return nil, ship.Errorf(ship.Invalid, "begin it with a slash", "load: %q is not a path", r.Path)
		}
		if r.Method == "" {
			r.Method = http.MethodGet
		}
		if _, err := http.NewRequestWithContext(context.Background(), r.Method, "http://server"+r.Path, nil); err != nil {
			return nil, ship.Errorf(ship.Invalid, "", "load: %s %q cannot be asked for: %w", r.Method, r.Path, err)
		}
		if r.Type == "" {
			r.Type = "application/json"
		}
		if r.Weight == 0 {
			r.Weight = 1
		}
		if r.Weight < 0 || r.Weight > 1000 {
			return nil, ship.Errorf(ship.Invalid, "", "load: weight %d of %s is not between 1 and 1000", r.Weight, r.Path)
		}
		for range r.Weight {
			pick = append(pick, r)
		}
	}
	// In a fixed order that is not that of the weights: bursts of one kind
	// would be no mix, and two runs are to be alike.
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(pick), func(i, j int) { pick[i], pick[j] = pick[j], pick[i] })
	return pick, nil
}

// Run sends the load until ctx ends, For has passed or Count is reached. Then
// requests under way get their time to be answered: none is cut by Run, but
// where ctx ends and that is wanted.
func (l *Load) Run(ctx context.Context) Snapshot {
	sending := context.WithoutCancel(ctx)
	if l.o.Cut {
		sending = ctx
	}
	if l.o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.o.For)
		defer cancel()
	}
	start := time.Now()
	l.tally.start(start)
	// Whoever has not begun when the last request is given out need not begin.
	spawn, enough := context.WithCancel(ctx)
	defer enough()
	var all sync.WaitGroup
	for i := range l.o.Workers {
		all.Go(func() {
			if l.o.SpawnRate > 0 && !waitUntil(spawn, start.Add(seconds(float64(i)/l.o.SpawnRate))) {
				return
			}
			l.work(ctx, sending, start)
			enough()
		})
	}
	all.Wait()
	l.client.CloseIdleConnections()
	l.tally.end(time.Now())
	return l.Snapshot()
}

func (l *Load) work(ctx, sending context.Context, start time.Time) {
	for ctx.Err() == nil {
		n := l.next.Add(1) - 1
		if l.o.Count > 0 && n >= l.o.Count {
			return
		}
		due := time.Now()
		if l.o.Rate > 0 {
			due = start.Add(seconds(float64(n) / l.o.Rate))
			if !waitUntil(ctx, due) {
				return
			}
			// A user whose turn is so late has gone. Without this the load
			// after a standstill would be as high as the machine can send.
			if time.Since(due) > l.o.Timeout {
				l.tally.skip()
				continue
			}
		}
		a := l.send(sending, n, due)
		l.tally.add(a)
		if l.o.Done != nil {
			l.o.Done(a)
		}
		if l.o.Rate == 0 && l.o.Think.Max > 0 && !waitUntil(ctx, time.Now().Add(l.o.Think.some())) {
			return
		}
	}
}

func (t Think) some() time.Duration { return t.Min + rand.N(t.Max-t.Min+1) }

func waitUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Snapshot returns what is known so far.
func (l *Load) Snapshot() Snapshot { return l.tally.snapshot(time.Now()) }

// noRedirect has the client take the first answer for the answer.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

var errCut = errors.New("the answer was cut short")

func (l *Load) id(n int64) string { return fmt.Sprintf("%s-%d", l.prefix, n) }
