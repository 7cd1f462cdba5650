package load_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/ship"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func run(t *testing.T, o load.Options) load.Snapshot {
	t.Helper()
	l, err := load.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l.Run(t.Context())
}

func TestEveryRequestIsCountedOnBothSides(t *testing.T) {
	var seen sync.Map
	var requests, posts atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if _, twice := seen.LoadOrStore(r.Header.Get(load.IDHeader), true); twice {
			t.Errorf("%s %s came twice", r.Method, r.URL)
		}
		if r.Host != "shop.test" {
			t.Errorf("host is %q", r.Host)
		}
		if r.Method == http.MethodPost {
			posts.Add(1)
			body, _ := io.ReadAll(r.Body)
			if want := `{"id":"` + r.Header.Get(load.IDHeader) + `"}`; string(body) != want {
				t.Errorf("body is %s instead of %s", body, want)
			}
		}
	})
	var told atomic.Int64
	s := run(t, load.Options{
		URL: url, Host: "shop.test", Count: 500, Workers: 8, Timeout: time.Minute,
		Requests: []load.Request{{Path: "/", Weight: 3}, {Method: "POST", Path: "/orders", Body: `{"id":"$ID"}`, Weight: 2}},
		Done:     func(load.Answer) { told.Add(1) },
	})
	if s.Sent != 500 || s.OK != 500 || s.Lost() != 0 || requests.Load() != 500 || told.Load() != 500 {
		t.Errorf("%v; the server saw %d, told of %d", s, requests.Load(), told.Load())
	}
	if s.Posts != 200 || posts.Load() != 200 {
		t.Errorf("%d posts sent, %d seen, of 500 in proportion 2 of 5", s.Posts, posts.Load())
	}
	if s.P50 <= 0 || s.P50 > s.P95 || s.P95 > s.P99 || s.Elapsed <= 0 || s.Rate() <= 0 {
		t.Errorf("latencies of %+v", s)
	}
}

func TestEachWayOfFailingHasItsNameAndItsFirstCases(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/unavailable":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/elsewhere":
			http.Redirect(w, r, "/unavailable", http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/closed", "/reset":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if r.URL.Path == "/reset" {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			_ = conn.Close()
		}
	})
	for path, class := range map[string]string{
		"/": "", "/elsewhere": "", "/unavailable": "503", "/cut": "cut", "/slow": "timeout", "/closed": "closed", "/reset": "reset",
	} {
		s := run(t, load.Options{URL: url, Count: 7, Workers: 1, Timeout: 200 * time.Millisecond, Requests: []load.Request{{Path: path}}})
		if class == "" {
			// A loaded machine may make any answer late; nothing else may happen.
			if s.OK+s.Failed["timeout"].Count != 7 {
				t.Errorf("%s: %v", path, s)
			}
			continue
		}
		f := s.Failed[class]
		if s.Sent != 7 || f.Count == 0 || f.Count+s.Failed["timeout"].Count < 7 || s.OK != 0 {
			t.Errorf("%s: %v instead of 7 times %s", path, s, class)
			continue
		}
		if first := f.First[0]; len(f.First) > 5 || first.Path != path || first.Error == "" || first.At.IsZero() || first.ID == "" {
			t.Errorf("%s: first cases %+v", path, f.First)
		}
		if !strings.Contains(s.String(), class+": ") {
			t.Errorf("%s: %q does not say %s", path, s.String(), class)
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if s := run(t, load.Options{URL: closed.URL, Count: 3}); s.Failed["refused"].Count != 3 {
		t.Errorf("nobody listens: %v", s)
	}
}

// dropsUsed answers the first request of each connection and closes it upon
// the second without an answer, which is when net/http likes to try again.
func dropsUsed(t *testing.T, seen *sync.Map) string {
	t.Helper()
	var served sync.Map
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := seen.LoadOrStore(r.Header.Get(load.IDHeader), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if _, used := served.LoadOrStore(r.RemoteAddr, true); !used {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}))
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestAPostIsNeverSentTwiceAndARepeatedGetIsSeen(t *testing.T) {
	for _, method := range []string{"POST", "GET"} {
		var seen sync.Map
		s := run(t, load.Options{
			URL: dropsUsed(t, &seen), KeepAlive: true, Workers: 1, Count: 20, Timeout: time.Minute,
			Requests: []load.Request{{Method: method, Path: "/", Body: map[string]string{"POST": "$ID"}[method]}},
		})
		var twice int64
		seen.Range(func(_, n any) bool {
			twice += n.(*atomic.Int64).Load() - 1
			return true
		})
		if method == "POST" && (twice != 0 || s.Retried != 0 || s.Lost() != 10) {
			t.Errorf("POST: %d came twice, %d retried, %v", twice, s.Retried, s)
		}
		if method == "GET" && (twice == 0 || twice != s.Retried) {
			t.Errorf("GET: %d came twice, %d counted as retried, %v", twice, s.Retried, s)
		}
	}
}

func TestWithoutKeepAliveNothingIsRepeated(t *testing.T) {
	var seen sync.Map
	s := run(t, load.Options{URL: dropsUsed(t, &seen), Workers: 4, Count: 50, Timeout: time.Minute})
	if s.OK != 50 || s.Retried != 0 {
		t.Errorf("%v, %d retried", s, s.Retried)
	}
}

func TestTheEndOfALoadCutsNoRequest(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	url := serve(t, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-answer
	})
	ctx, stop := context.WithCancel(t.Context())
	l, err := load.New(load.Options{URL: url, Workers: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan load.Snapshot)
	go func() { ended <- l.Run(ctx) }()
	<-arrived
	if s := l.Snapshot(); s.Sent != 0 {
		t.Errorf("under way and yet counted: %v", s)
	}
	stop()
	close(answer)
	if s := <-ended; s.Sent != 1 || s.OK != 1 {
		t.Errorf("%v", s)
	}
}

func TestAnOpenLoadCountsTheTimeThatRequestsHadToWait(t *testing.T) {
	var once sync.Once
	url := serve(t, func(http.ResponseWriter, *http.Request) {
		once.Do(func() { <-time.After(500 * time.Millisecond) })
	})
	s := run(t, load.Options{URL: url, Workers: 1, Rate: 100, Count: 40, Timeout: time.Minute})
	// All forty were due while the first one was being answered. A sender that
	// waits and then measures would report one slow request.
	if s.OK != 40 || s.P50 < 200*time.Millisecond {
		t.Errorf("%v", s)
	}
}

func TestRequestsThatAreMuchTooLateAreSkippedAndCounted(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) { <-time.After(60 * time.Millisecond) })
	s := run(t, load.Options{URL: url, Workers: 1, Rate: 1000, Count: 60, Timeout: 100 * time.Millisecond})
	if s.Skipped == 0 || s.Sent+s.Skipped != 60 {
		t.Errorf("%d skipped, %v", s.Skipped, s)
	}
}

func TestWhatHappenedSinceIsTheDifference(t *testing.T) {
	var broken atomic.Bool
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	var before load.Snapshot
	var l *load.Load
	var n atomic.Int64
	l, err := load.New(load.Options{URL: url, Workers: 1, Count: 100, Timeout: time.Minute, Done: func(load.Answer) {
		if n.Add(1) == 60 {
			before = l.Snapshot()
			broken.Store(true)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	after := l.Run(t.Context())
	d := after.Since(before)
	if before.Sent != 60 || before.Lost() != 0 || d.Sent != 40 || d.OK != 0 || d.Failed["500"].Count != 40 || d.P95 <= 0 {
		t.Errorf("before %v, since %v", before, d)
	}
}

func TestUsersComeOneAfterTheOther(t *testing.T) {
	var now, most atomic.Int64
	url := serve(t, func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		now.Add(-1)
	})
	s := run(t, load.Options{URL: url, Workers: 50, SpawnRate: 0.001, Count: 20, Timeout: time.Minute, For: time.Minute})
	if s.Sent != 20 || most.Load() != 1 {
		t.Errorf("%v, %d at a time", s, most.Load())
	}
}

func TestUsersThinkBetweenAnAnswerAndTheNextRequest(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	s := run(t, load.Options{URL: url, Workers: 1, Count: 6, Timeout: time.Minute, Think: load.Think{Min: 20 * time.Millisecond, Max: 30 * time.Millisecond}})
	if s.OK != 6 || s.Elapsed < 5*20*time.Millisecond {
		t.Errorf("%v in %s", s, s.Elapsed)
	}
}

func TestServersAreAskedInTurn(t *testing.T) {
	var first, second atomic.Int64
	count := func(n *atomic.Int64) string {
		return serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Language") == "de" {
				n.Add(1)
			}
		})
	}
	s := run(t, load.Options{
		URL: count(&first), Also: []string{count(&second)}, Workers: 3, Count: 20, Timeout: time.Minute,
		Requests: []load.Request{{Path: "/", Header: map[string]string{"Accept-Language": "de"}}},
	})
	if s.OK != 20 || first.Load() != 10 || second.Load() != 10 {
		t.Errorf("%v: %d and %d", s, first.Load(), second.Load())
	}
}

func TestALoadThatIsCutEndsAtOnce(t *testing.T) {
	arrived := make(chan struct{}, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, stop := context.WithCancel(t.Context())
	l, err := load.New(load.Options{URL: url, Workers: 1, Timeout: time.Hour, Cut: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan load.Snapshot)
	go func() { ended <- l.Run(ctx) }()
	<-arrived
	stop()
	if s := <-ended; s.Sent != 1 || s.Failed["cancelled"].Count != 1 {
		t.Errorf("%v", s)
	}
}

func TestALoadThatMakesNoSenseIsRefused(t *testing.T) {
	for _, o := range []load.Options{
		{},
		{URL: "shop.test"},
		{URL: "ftp://shop.test"},
		{URL: "http://x", Workers: -1},
		{URL: "http://x", Workers: 1e6},
		{URL: "http://x", Rate: -1},
		{URL: "http://x", Also: []string{"y"}},
		{URL: "http://x", Think: load.Think{Min: -1}},
		{URL: "http://x", Requests: []load.Request{{Path: "x"}}},
		{URL: "http://x", Requests: []load.Request{{Path: "/", Weight: -1}}},
	} {
		if _, err := load.New(o); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestALatencyIsCountedWithinAHundredth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.Int64Range(0, int64(time.Hour/time.Microsecond)).Draw(t, "microseconds")
		d := time.Duration(us) * time.Microsecond
		if got := load.CountedAs(d); got < d-d/100 || got > d+d/100 {
			t.Fatalf("%s is counted as %s", d, got)
		}
	})
}
