package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// exchanged is how one worker took another one's place.
type exchanged struct {
	old, new          int // process ids; 0 is none
	inFlight, lasting int64
	until             time.Time // the old one is gone by then
}

// exchange starts a worker with another command beside the one that serves,
// and when it has been seen to serve has the old one leave. tried is told its
// process id before it accepts anything. When it fails the old one goes on.
func (p *proxies) exchange(ctx context.Context, command []string, tried func(pid int) error) (exchanged, error) {
	done, err := p.starting.take(ctx)
	if err != nil {
		return exchanged{}, err
	}
	defer done()
	if p.pid() == 0 && !p.state.read().routes() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.command = command
		return exchanged{}, nil
	}
	p.mu.Lock()
	files := maps.Clone(p.open)
	p.mu.Unlock()
	w, err := p.launch(ctx, append(slices.Clone(command), p.dir), files)
	if err != nil {
		return exchanged{}, err
	}
	x, err := p.relieveBy(ctx, w, tried)
	if err != nil {
		p.discard(ctx, w)
		return exchanged{}, err
	}
	p.mu.Lock()
	p.command = command
	p.mu.Unlock()
	return x, nil
}

// relieveBy has w serve and the worker that served leave. No table comes in
// between, so that both of them route alike.
func (p *proxies) relieveBy(ctx context.Context, w *proxy.Worker, tried func(pid int) error) (exchanged, error) {
	unlock, err := p.applying.take(ctx)
	if err != nil {
		return exchanged{}, err
	}
	defer unlock()
	p.mu.Lock()
	files := maps.Clone(p.open) // some may have been opened since it was started
	p.mu.Unlock()
	if err := w.AddListeners(ctx, files); err != nil {
		return exchanged{}, err
	}
	if err := tried(w.PID()); err != nil {
		return exchanged{}, err
	}
	t, err := tableOf(p.state.read(), p.certificate)
	if err != nil {
		return exchanged{}, err
	}
	if err := w.SetTable(ctx, p.servable(t)); err != nil {
		return exchanged{}, err
	}
	if err := serves(ctx, w); err != nil {
		return exchanged{}, err
	}
	p.mu.Lock()
	old := p.worker
	p.mu.Unlock()
	p.use(w.Control, files)
	x := exchanged{new: w.PID()}
	if old == nil {
		return x, nil
	}
	x.old = old.PID()
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if s, err := old.Status(asking); err == nil {
		x.inFlight, x.lasting = underWay(s)
	}
	g := grace(p.state.read())
	x.until = time.Now().Add(max(g.Requests, g.Lasting))
	if err := p.dismiss(ctx, old); err != nil {
		// It is asked until it goes. The new one serves, and that is what counts.
		p.log.Error("the proxy worker that was relieved does not answer", "pid", old.PID(), "error", err)
	}
	return x, nil
}

// underWay counts the requests at a worker.
func underWay(s proxy.Status) (inFlight, lasting int64) {
	for _, env := range s.Environments {
		for _, g := range env.Generations {
			inFlight += g.InFlight
			lasting += g.Lasting
		}
	}
	return inFlight, lasting
}

// serves asks a new worker something at a socket of its own, as the ones it
// shares do not tell who answers.
func serves(ctx context.Context, w *proxy.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	const name = "trial" // no listener of a table is called so
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("try the proxy worker: %w", err)
	}
	defer l.Close()
	file, err := proxy.ListenerFile(l)
	if err != nil {
		return fmt.Errorf("try the proxy worker: %w", err)
	}
	defer file.Close()
	if err := w.AddListeners(ctx, map[string]*os.File{name: file}); err != nil {
		return fmt.Errorf("try the proxy worker: %w", err)
	}
	const id = "shiplock-upgrade"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/", nil)
	if err != nil {
		return fmt.Errorf("try the proxy worker: %w", err)
	}
	req.Header.Set("X-Request-Id", id)
	once := &http.Transport{DisableKeepAlives: true}
	res, err := once.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the proxy worker answers no request: %w", err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)); err != nil {
		return fmt.Errorf("the proxy worker answers no request: %w", err)
	}
	if res.StatusCode != http.StatusNotFound || res.Header.Get("X-Request-Id") != id {
		return ship.Errorf(ship.Internal, "", "the proxy worker answered a request for nothing with %s", res.Status)
	}
	if err := w.RemoveListeners(ctx, []string{name}, proxy.Grace{}); err != nil {
		return fmt.Errorf("try the proxy worker: %w", err)
	}
	select {
	case <-w.Done():
		return errors.New("the proxy worker ended")
	default:
		return nil
	}
}

// discard ends a worker that did not take over. What it accepted meanwhile is
// answered, if it can.
func (p *proxies) discard(ctx context.Context, w *proxy.Worker) {
	if s, err := w.Status(ctx); err == nil && s.Revision >= 0 && p.dismiss(ctx, w.Control) == nil {
		return
	}
	_ = w.Kill()
}
