package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Bounds of what the API takes.
const (
	maxBody        = 64 << 20
	maxLines       = 100_000
	shutdownWithin = 30 * time.Second
	cutAfter       = 500 * time.Millisecond
	settleWithin   = 10 * time.Second // calls under way are given before an upgrade
)

// statusOf is the HTTP status of each kind of failure.
var statusOf = map[ship.Kind]int{
	ship.Invalid: http.StatusBadRequest, ship.NotFound: http.StatusNotFound, ship.Locked: http.StatusLocked,
	ship.Fenced: http.StatusConflict, ship.RolledBack: http.StatusConflict, ship.Failed: http.StatusUnprocessableEntity,
	ship.Unreachable: http.StatusForbidden,
}

// routes is all the API has.
func (n *node) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			answer, err := h(r)
			reply(w, answer, err)
		})
	}
	env := func(pattern string, h func(*http.Request, *environment) (any, error)) {
		handle(pattern, func(r *http.Request) (any, error) {
			e, err := n.environment(ship.EnvironmentID{App: r.PathValue("app"), Name: r.PathValue("env")})
			if err != nil {
				return nil, err
			}
			return h(r, e)
		})
	}
	const base = "/v1/environments/{app}/{env}"
	handle("GET /v1/node", func(*http.Request) (any, error) {
		return n.info(), nil
	})
	mux.HandleFunc("POST /v1/node/upgrade", n.upgradeRoute)
	mux.Handle("GET /v1/node/metrics", metrics.Handler(n.measure, n.Log))
	handle("POST /v1/node/shutdown", func(*http.Request) (any, error) { n.shutdown(); return nil, nil })
	handle("GET /v1/artifacts/{digest}", func(r *http.Request) (any, error) { return n.releases.Has(r.PathValue("digest")), nil })
	mux.HandleFunc("PUT /v1/artifacts/{digest}", n.upload)
	handle("POST /v1/artifacts/{digest}/link", func(r *http.Request) (any, error) {
		var b linkBody
		if err := decode(r, &b); err != nil {
			return nil, err
		}
		return nil, n.releases.Link(r.Context(), r.PathValue("digest"), b.Path)
	})
	env("GET "+base, func(r *http.Request, e *environment) (any, error) { return e.observe(r.Context()), nil })
	env("POST "+base+"/acquire", acquireRoute)
	env("POST "+base+"/prepare", prepareRoute)
	env("POST "+base+"/run", runRoute)
	env("POST "+base+"/start", startRoute)
	for verb, change := range changes() {
		env("POST "+base+"/"+verb, func(r *http.Request, e *environment) (any, error) {
			var b fenceBody
			if err := decode(r, &b); err != nil {
				return nil, err
			}
			return nil, change(r.Context(), e, b)
		})
	}
	env("GET "+base+"/evidence", evidenceRoute)
	mux.HandleFunc("GET "+base+"/logs", n.logs)
	return onlyUs(mux)
}

// changes are the routes whose body is a [fenceBody].
func changes() map[string]func(context.Context, *environment, fenceBody) error {
	return map[string]func(context.Context, *environment, fenceBody) error{
		"renew":   func(_ context.Context, e *environment, b fenceBody) error { return e.n.renew(e.id, b.Fence, b.TTL) },
		"release": func(_ context.Context, e *environment, b fenceBody) error { return e.n.release(e.id, b.Fence) },
		"stop":    func(ctx context.Context, e *environment, b fenceBody) error { return e.stop(ctx, b.Fence, b.Slot) },
		"shift": func(ctx context.Context, e *environment, b fenceBody) error {
			if b.Shift == nil {
				return ship.Errorf(ship.Invalid, "", "the body has no shift")
			}
			return e.shift(ctx, b.Fence, *b.Shift)
		},
		"run/end": func(ctx context.Context, e *environment, b fenceBody) error {
			return e.endCommand(ctx, b.Fence, b.Command)
		},
		"watch/end": func(ctx context.Context, e *environment, b fenceBody) error { return e.dismiss(ctx, b.Fence, b.Why) },
		"mode": func(ctx context.Context, e *environment, b fenceBody) error {
			if b.Mode == nil {
				return ship.Errorf(ship.Invalid, "", "the body has no mode")
			}
			return e.setMode(ctx, b.Fence, *b.Mode)
		},
		"workers/stop":  func(ctx context.Context, e *environment, b fenceBody) error { return e.setWorkers(ctx, b.Fence, true) },
		"workers/start": func(ctx context.Context, e *environment, b fenceBody) error { return e.setWorkers(ctx, b.Fence, false) },
	}
}

func acquireRoute(r *http.Request, e *environment) (any, error) {
	var c ship.Claim
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	return e.n.acquire(e.id, c)
}

func evidenceRoute(r *http.Request, e *environment) (any, error) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds < 0 {
		return nil, ship.Errorf(ship.Invalid, "", "seconds is a number")
	}
	return e.evidence(r.Context(), seconds)
}

func prepareRoute(r *http.Request, e *environment) (any, error) {
	var b specBody
	if err := e.decodeSpec(r, &b, &b); err != nil {
		return nil, err
	}
	return e.prepare(r.Context(), b.spec())
}

func runRoute(r *http.Request, e *environment) (any, error) {
	var b runBody
	if err := e.decodeSpec(r, &b, &b.specBody); err != nil {
		return nil, err
	}
	return e.run(r.Context(), b.spec(), b.command())
}

func startRoute(r *http.Request, e *environment) (any, error) {
	var b startBody
	if err := e.decodeSpec(r, &b, &b.specBody); err != nil {
		return nil, err
	}
	return nil, e.start(r.Context(), b.Fence, b.spec(), b.Slot)
}

// decodeSpec decodes a body with a spec, which has to be of this environment.
func (e *environment) decodeSpec(r *http.Request, body any, s *specBody) error {
	if err := decode(r, body); err != nil {
		return err
	}
	if s.Spec.Environment.ID != e.id {
		return ship.Errorf(ship.Invalid, "", "the spec is of %s, not of %s", s.Spec.Environment.ID, e.id)
	}
	return nil
}

func (n *node) upload(w http.ResponseWriter, r *http.Request) {
	_, err := n.releases.Put(r.Context(), r.PathValue("digest"), r.Body) // bounds it
	reply(w, nil, err)
}

func (n *node) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	lines, err := strconv.Atoi(q.Get("lines"))
	if err != nil || lines < 0 || lines > maxLines {
		reply(w, nil, ship.Errorf(ship.Invalid, "", "lines is a number up to %d", maxLines))
		return
	}
	e, err := n.environment(ship.EnvironmentID{App: r.PathValue("app"), Name: r.PathValue("env")})
	if err != nil {
		reply(w, nil, err)
		return
	}
	query := platform.LogQuery{Slot: ship.Slot(q.Get("slot")), Process: q.Get("process"), Lines: lines, Follow: q.Get("follow") == "true", Job: q.Get("job")}
	out := &flusher{w: w, control: http.NewResponseController(w)}
	ctx, stop := n.untilHanding(r.Context())
	defer stop()
	if err := e.copyLogs(ctx, query, out); err != nil && !out.begun {
		reply(w, nil, err)
	}
}

// A flusher sends every write at once.
type flusher struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (f *flusher) Write(p []byte) (int, error) {
	f.begun = true
	n, err := f.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.control.Flush()
}

func decode(r *http.Request, v any) error {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		return ship.Errorf(ship.Invalid, "", "the body is not what was expected: %w", err)
	}
	return nil
}

func reply(w http.ResponseWriter, answer any, err error) {
	status := http.StatusOK
	if errors.Is(err, context.Canceled) || errors.Is(err, errLeaving) {
		// The caller is gone, or we are going: then it shall ask the next node,
		// as it would after a crash.
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		answer = newErrorBody(err)
		if status = statusOf[ship.KindOf(err)]; status == 0 {
			status = http.StatusInternalServerError
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // to a caller who may have gone
}

// serve serves the API until ctx ends. Calls under way are given a moment and
// then cut: their callers ask again.
func (n *node) serve(ctx context.Context, l net.Listener) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler: n.routes(), ConnContext: withPeer, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve API: %w", err)
	case <-ctx.Done():
		time.AfterFunc(cutAfter, cut)
	case <-n.handing:
		// Nobody is in a hurry. Whoever calls meanwhile waits at the socket.
		time.AfterFunc(settleWithin, cut)
	}
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
	defer done()
	if err := srv.Shutdown(stopping); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve API: %w", err)
	}
	return nil
}
