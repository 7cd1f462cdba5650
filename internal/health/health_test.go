package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/health"
	"github.com/shiplock/shiplock/internal/ship"
)

// serve starts an application and returns its address.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// answer is an application with one answer.
func answer(status int, header, value, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAProbeExplainsWhatToChange(t *testing.T) {
	tests := []struct {
		name string
		app  http.HandlerFunc
		want []string
	}{
		{"HTTPS is forced", answer(301, "Location", "https://shop.test/healthz", ""), []string{"301 to https://shop.test/healthz", "forces HTTPS", "SECURE_PROXY_SSL_HEADER"}},
		{"a slash is missing", answer(301, "Location", "/healthz/", ""), []string{"set health.path to /healthz/"}},
		{"a login is wanted", answer(302, "Location", "/accounts/login/?next=/healthz", ""), []string{"302 to /accounts/login/", "without a login"}},
		{"another host is wanted", answer(302, "Location", "https://www.shop.test/", ""), []string{"set health.host to www.shop.test"}},
		{"there is no location", answer(302, "", "", ""), []string{"302 without a usable Location"}},
		{"Django rejects the host", answer(400, "Content-Type", "text/html", "<h1>Bad Request (400)</h1>"), []string{`add "shop.test" to ALLOWED_HOSTS`}},
		{"the path needs a login", answer(403, "", "", ""), []string{"403 on /healthz", "without a login"}},
		{"the path is unknown", answer(404, "", "", ""), []string{"404 on /healthz", "set health.path"}},
		{"the application fails", answer(500, "Content-Type", "text/html", "<title>OperationalError at /healthz</title>"), []string{"500 on /healthz", "OperationalError at /healthz"}},
		{"a database URL is in the text", answer(503, "Content-Type", "text/plain", "no db at postgres://shop:hunter2@db/shop"), []string{"postgres://***@db/shop"}},
		{"the body breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			panic(http.ErrAbortHandler)
		}, []string{"closed before the answer was complete"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := health.Probe(t.Context(), health.Target{Address: serve(t, tt.app), Path: "/healthz", Host: "shop.test"})
			if r.OK {
				t.Fatal("the probe is OK")
			}
			for _, want := range tt.want {
				if !strings.Contains(r.Explain, want) {
					t.Errorf("explained %q, which lacks %q", r.Explain, want)
				}
			}
			if strings.Contains(r.Explain, "hunter2") {
				t.Errorf("explained %q, which shows a password", r.Explain)
			}
		})
	}
}

func TestAProbeLooksLikeARequestThroughTheProxy(t *testing.T) {
	seen := make(chan *http.Request, 1)
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	r := health.Probe(t.Context(), health.Target{Address: address, Path: "/healthz?deep=1", Host: "shop.test"})
	if !r.OK || r.Status != 200 || r.Latency <= 0 {
		t.Fatalf("got %+v", r)
	}
	got := <-seen
	if got.Host != "shop.test" || got.Header.Get("X-Forwarded-Proto") != "https" || got.RequestURI != "/healthz?deep=1" {
		t.Errorf("the application saw Host %q, X-Forwarded-Proto %q, %q", got.Host, got.Header.Get("X-Forwarded-Proto"), got.RequestURI)
	}
}

func TestAProbeSaysThatNothingListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	r := health.Probe(t.Context(), health.Target{Address: address})
	if r.OK || !strings.Contains(r.Explain, "nothing listens on "+address) {
		t.Errorf("explained %q", r.Explain)
	}
}

func TestAProbeSaysThatItIsNotHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "500 unknown command\r\n")
	}()
	r := health.Probe(t.Context(), health.Target{Address: l.Addr().String()})
	if r.OK || !strings.Contains(r.Explain, "does not speak HTTP") {
		t.Errorf("explained %q", r.Explain)
	}
	<-done
}

func TestAProbeGivesUpOnASlowInstance(t *testing.T) {
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := health.Probe(t.Context(), health.Target{Address: address, Timeout: 50 * time.Millisecond})
	if r.OK || !strings.Contains(r.Explain, "no answer within 50ms") {
		t.Errorf("explained %q", r.Explain)
	}
}

func TestAProbeAsksOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	if r := health.Probe(t.Context(), health.Target{Address: s.Listener.Addr().String(), TLS: true}); !r.OK {
		t.Errorf("got %+v", r)
	}
}

func TestWaitWantsGoodAnswersInARow(t *testing.T) {
	var asked atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n := asked.Add(1); n == 1 || n == 3 { // bad, good, bad, good, good, good
			w.WriteHeader(503)
		}
	})
	var said []string
	err := health.Wait(t.Context(), []health.Target{{Address: address}},
		health.Settings{HealthyAfter: 3, Every: time.Millisecond}, func(s string) { said = append(said, s) })
	if err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != 6 {
		t.Errorf("asked %d times, want 6", got)
	}
	if last := said[len(said)-1]; last != "3 of 3 good answers in a row" {
		t.Errorf("said %q last", last)
	}
}

func TestWaitNeedsEveryTarget(t *testing.T) {
	good := serve(t, answer(200, "", "", ""))
	bad := serve(t, answer(404, "", "", ""))
	err := health.Wait(t.Context(), []health.Target{{Address: good}, {Address: bad, Path: "/up"}},
		health.Settings{Every: time.Millisecond, GiveUp: 100 * time.Millisecond}, nil)
	if ship.KindOf(err) != ship.Failed || !strings.Contains(fmt.Sprint(err), "404 on /up") {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWhenAnInstanceIsGone(t *testing.T) {
	var asked atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(503) })
	err := health.Wait(t.Context(), []health.Target{{Address: address}}, health.Settings{
		Every: time.Millisecond,
		Exited: func() string {
			if asked.Load() > 2 {
				return "blue.web.1 ended with exit code 1"
			}
			return ""
		},
	}, nil)
	if ship.KindOf(err) != ship.Failed || !strings.Contains(fmt.Sprint(err), "ended with exit code 1 before it was healthy") {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	address := serve(t, answer(503, "", "", ""))
	ctx, cancel := context.WithCancel(t.Context())
	err := health.Wait(ctx, []health.Target{{Address: address}}, health.Settings{Every: time.Millisecond}, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWarmUpEndsWhenLatencyIsSteady(t *testing.T) {
	var asked atomic.Int64
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= 2 { // cold
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	r := health.Warm(t.Context(), []health.Target{{Address: address}}, []string{"/"}, health.Bounds{}, nil)
	if !r.Steady || r.Requests < 7 || len(r.Problems) > 0 {
		t.Errorf("got %+v, want steady after the two cold requests left the last five", r)
	}
	if r.First < 50*time.Millisecond {
		t.Errorf("the first answer took %s", r.First)
	}
}

func TestWarmUpIsBoundedAndReportsProblems(t *testing.T) {
	var asked atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(500)
			return
		}
		if asked.Add(1)%2 == 0 {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	r := health.Warm(t.Context(), []health.Target{{Address: address}}, []string{"/", "/broken"}, health.Bounds{Requests: 8}, nil)
	if r.Steady || r.Requests != 9 {
		t.Errorf("got %+v, want 8 restless requests and 1 broken", r)
	}
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "500 on /broken") {
		t.Errorf("problems %q", r.Problems)
	}
}
