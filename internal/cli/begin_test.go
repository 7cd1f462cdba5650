package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// A server that is lost before it has answered may have begun the run. Whoever
// asked neither gives up nor begins a second one.
func TestAServerLostBeforeItAnsweredIsAskedAgainForTheSameRun(t *testing.T) {
	var keys []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	mux.HandleFunc("POST /v1/runs", func(w http.ResponseWriter, r *http.Request) {
		var in wire.NewRun
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if keys = append(keys, in.Key); len(keys) < 3 {
			panic(http.ErrAbortHandler) // as when it is killed
		}
		_ = json.NewEncoder(w).Encode(ship.Run{ID: "d-1-abcde"})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	said := &bytes.Buffer{}
	s := &session{err: said}
	run, err := s.begin(t.Context(), dialed(server), wire.NewRun{Verb: ship.VerbDeploy})
	if err != nil || run.ID != "d-1-abcde" {
		t.Errorf("run %q, %v", run.ID, err)
	}
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Errorf("asked with the keys %q", keys)
	}
	if strings.Count(said.String(), "waiting for the server") != 1 {
		t.Errorf("said %q", said)
	}
}

func TestAServerThatNeverAnsweredIsNotWaitedFor(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	cl := dialed(server)
	server.Close()
	if _, err := (&session{err: &bytes.Buffer{}}).begin(t.Context(), cl, wire.NewRun{}); ship.KindOf(err) != ship.Unreachable {
		t.Errorf("%v, want it not to be reached", err)
	}
}

func dialed(server *httptest.Server) *client.Client {
	address := server.Listener.Addr().String()
	return client.Over(address, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	})
}
