package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// admit lets ex in to the backend that is active, waiting while requests are
// held. It takes no lock: what it read may be outdated, but then the door it
// comes to is shut and a newer state is there to read.
func (p *Proxy) admit(ex *exchange) *refusal {
	var wait *waiter
	defer func() { wait.leave() }()
	for {
		s := p.current.Load()
		env := s.find(ex.listener, ex.in.Host)
		if env == nil {
			return nobody(ex.in.Host)
		}
		if env.Mode != ship.Serving && env.isProbe(ex.in) {
			if ex.enter(env, env.active, &env.active.probes) {
				return nil
			}
			continue
		}
		switch {
		case env.Mode == ship.Maintenance:
			return env.maintenance()
		case env.Mode == ship.Holding:
			if wait == nil {
				wait = newWaiter(env)
				if wait.queue.waiting.Load() > int64(env.HoldMax) {
					return wait.overflow(env, "Too many requests are waiting for a change of release to end.")
				}
			}
			if no := wait.until(ex, env, s.replaced); no != nil {
				return no
			}
		case env.active == nil:
			return env.unavailable("No release of this application has been started yet.")
		default:
			if t := env.choose(ex); ex.enter(env, t, &t.requests) {
				return nil
			}
		}
	}
}

// isProbe tells whether r asks the health path, which is answered in every mode.
func (env *environment) isProbe(r *http.Request) bool {
	path, _, _ := strings.Cut(env.HealthPath, "?")
	return env.active != nil && path != "" && path != "/" && r.URL.Path == path &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// A waiter is a held request's place in the queue.
type waiter struct {
	queue *queue
	timer *time.Timer
}

func newWaiter(env *environment) *waiter {
	env.queue.held.Add(1)
	env.queue.waiting.Add(1)
	return &waiter{queue: env.queue, timer: time.NewTimer(env.HoldFor)}
}

// until waits for a newer state. It returns a refusal when the request waited
// too long or the client left.
func (w *waiter) until(ex *exchange, env *environment, replaced <-chan struct{}) *refusal {
	select {
	case <-replaced:
		return nil
	case <-ex.in.Context().Done():
		return &refusal{status: statusClientGone}
	case <-w.timer.C:
		return w.overflow(env, "A change of release takes longer than this request could wait.")
	}
}

func (w *waiter) overflow(env *environment, text string) *refusal {
	w.queue.overflowed.Add(1)
	return env.unavailable(text)
}

func (w *waiter) leave() {
	if w == nil {
		return
	}
	w.timer.Stop()
	w.queue.waiting.Add(-1)
}

func (env *environment) unavailable(text string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: text, retryAfter: env.RetryAfter}
}

func (env *environment) maintenance() *refusal {
	no := env.unavailable(env.Text)
	no.title = "Maintenance"
	if no.text == "" {
		no.text = "This application is being updated and will be back shortly."
	}
	return no
}
