// Package notifytest holds what every notifier that speaks HTTP must satisfy:
// its test file is one call of [Run].
package notifytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Open returns a notifier that sends to url.
type Open func(t *testing.T, url string) notify.Notifier

// Outcomes of a status: delivered, tried again, given up.
const (
	delivered = "delivered"
	again     = "tried again"
	givenUp   = "given up"
)

var statuses = map[int]string{
	200: delivered, 201: delivered, 202: delivered, 204: delivered,
	304: givenUp,
	400: givenUp, 401: givenUp, 403: givenUp, 404: givenUp, 405: givenUp, 410: givenUp, 413: givenUp, 422: givenUp,
	408: again, 425: again, 429: again,
	500: again, 502: again, 503: again, 504: again,
	501: givenUp, 505: givenUp,
}

// Run checks a notifier against a real server on this machine.
func Run(t *testing.T, open Open) {
	t.Run("every status has one outcome", func(t *testing.T) { testStatuses(t, open) })
	t.Run("A46 a redirect to another host is not followed", func(t *testing.T) { testForeignRedirect(t, open) })
	t.Run("a redirect that loses the message is an error", func(t *testing.T) { testLostRedirect(t, open) })
	t.Run("a receiver that is down is tried again", func(t *testing.T) { testDown(t, open) })
	t.Run("A49 an endless answer is not read to its end", func(t *testing.T) { testEndless(t, open) })
	t.Run("it ends with its context", func(t *testing.T) { testCancelled(t, open) })
}

// Deps are a plug-in's dependencies whose references are plain text.
func Deps() plugin.Deps {
	return plugin.Deps{Resolve: func(v ship.Value) (ship.Secret, error) { return ship.NewSecret(string(v)), nil }}
}

// Message is a message with something in every field.
func Message() notify.Message {
	return notify.Message{Topic: notify.TopicRollback, Title: "shop/prod was rolled back", Result: ship.Result{
		Run: "d-118", Environment: ship.EnvironmentID{App: "shop", Name: "prod"}, Status: ship.Broken,
		Kind: ship.RolledBack, Reason: "11 of 203 requests failed", Next: "shiplock logs d-118", Step: "watch",
		Schema: ship.SchemaAhead, Serving: 41, Candidate: 42,
	}}
}

func testStatuses(t *testing.T, open Open) {
	for status, want := range statuses {
		var calls atomic.Int32
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(status)
		})
		err := notifyAt(t, open, srv.URL)
		if got := outcome(err); got != want {
			t.Errorf("status %d is %s (%v), want %s", status, got, err, want)
		}
		if calls.Load() != 1 {
			t.Errorf("status %d: %d requests, want 1: trying again is the dispatcher's", status, calls.Load())
		}
	}
}

func testForeignRedirect(t *testing.T, open Open) {
	var leaked atomic.Bool
	foreign := serve(t, func(http.ResponseWriter, *http.Request) { leaked.Store(true) })
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, foreign.URL+"/", http.StatusTemporaryRedirect)
	})
	if err := notifyAt(t, open, srv.URL); outcome(err) != givenUp {
		t.Errorf("a redirect to another host is %s (%v), want %s", outcome(err), err, givenUp)
	}
	if leaked.Load() {
		t.Error("the other host was sent the message")
	}
}

func testLostRedirect(t *testing.T, open Open) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		}
	})
	if err := notifyAt(t, open, srv.URL); outcome(err) != givenUp {
		t.Errorf("a redirect to a login page is %s (%v), want %s", outcome(err), err, givenUp)
	}
}

func testDown(t *testing.T, open Open) {
	srv := serve(t, func(http.ResponseWriter, *http.Request) {})
	srv.Close()
	if err := notifyAt(t, open, srv.URL); outcome(err) != again {
		t.Errorf("a closed port is %s (%v), want %s", outcome(err), err, again)
	}
}

func testEndless(t *testing.T, open Open) {
	const enough = 16 << 20
	var sent atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for sent.Load() < enough {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	if err := notifyAt(t, open, srv.URL); err != nil {
		t.Errorf("an endless answer of status 200 failed: %v", err)
	}
	srv.Close()
	if sent.Load() >= enough {
		t.Errorf("all of %d bytes were taken", sent.Load())
	}
}

func testCancelled(t *testing.T, open Open) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if err := open(t, srv.URL).Notify(ctx, Message()); !errors.Is(err, context.Canceled) {
		t.Errorf("Notify() with a cancelled context: %v, want %v", err, context.Canceled)
	}
}

// hidden is a part of every URL a notifier is opened with: for many receivers
// the URL is the secret, so no error may show it.
const hidden = "T0K3N-in-the-path"

func notifyAt(t *testing.T, open Open, url string) error {
	t.Helper()
	err := open(t, url+"/"+hidden).Notify(t.Context(), Message())
	if err != nil && strings.Contains(err.Error(), hidden) {
		t.Errorf("A53: the error shows the URL: %v", err)
	}
	return err
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A server that does not read the body never learns that its
		// client went away.
		_, _ = io.Copy(io.Discard, r.Body)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func outcome(err error) string {
	switch {
	case err == nil:
		return delivered
	case errors.Is(err, notify.ErrPermanent):
		return givenUp
	}
	return again
}
