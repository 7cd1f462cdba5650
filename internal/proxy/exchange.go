package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// An exchange is one request on its way through the proxy.
type exchange struct {
	proxy    *Proxy
	listener string
	in       *http.Request
	id       string
	peer     netip.Addr // the other end of its connection
	client   netip.Addr // see clientAddress
	sent     *pacedBody // nil without a body
	body     []byte     // the whole of it when buffered, for sending it again

	// Since admission.
	env   *environment
	draw  *draw // in a split; nil is none
	to    *target
	older *target  // answers instead, for an asset that to does not know
	at    *address // the instance it was sent to last
	tries int      // at instances of to
	door  *door
	probe bool
	clock *clock
	stop  context.CancelFunc // ends the request to the instance

	// Of a request that goes over a link.
	link    atomic.Pointer[link] // the last one
	spare   *link                // it can be used again
	gone    atomic.Bool          // abort was called
	unwatch func() bool

	// Guarded by the roster it is in.
	next, prev *exchange
	wasCut     atomic.Bool                   // by a drain
	speaks     atomic.Pointer[ship.Protocol] // nil is HTTP
	stream     stream                        // set before speaks; nil for HTTP

	// How it went.
	status    int   // of the application's answer; 0 is none
	lasting   bool  // WebSocket or event stream
	broken    error // the application broke off its answer
	failure   error // there was no answer
	aborted   bool  // because the client went away
	connected bool
	fellBack  bool // to is the generation that was active before
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	return ex
}

// enter puts the exchange inside d, a door of t.
func (ex *exchange) enter(env *environment, t *target, d *door) bool {
	if !d.enter() {
		return false
	}
	ex.env, ex.to, ex.door, ex.probe = env, t, d, d == &t.probes
	if ex.probe {
		ex.clock = startClock(&t.tally, limits{})
		return true
	}
	env.clients.Observe(ex.client, time.Now())
	ex.clock = startClock(&t.tally, env.limits())
	env.flow.admitted.Add(1)
	return true
}

// forward sends the admitted exchange to the application and answers w.
func (ex *exchange) forward(w http.ResponseWriter) {
	defer func() {
		broke := recover()
		ex.end(broke != nil)
		if broke != nil {
			panic(broke)
		}
	}()
	w = timedWriter{w, ex}
	if ex.direct() {
		ex.stop = ex.abort
		ex.to.roster.join(ex)
		ex.relay(w)
		return
	}
	ctx, stop := context.WithCancel(context.WithValue(ex.in.Context(), exchangeKey{}, ex))
	defer stop()
	ex.stop = stop
	ex.to.roster.join(ex)
	ex.proxy.forward.ServeHTTP(w, ex.in.WithContext(ctx))
}

// end counts how the exchange went and leaves. It must be the last thing, so
// that a drained generation has nothing left to count.
func (ex *exchange) end(broke bool) {
	ex.count(broke)
	if ex.lasting {
		ex.to.tally.lasting.Add(-1)
		ex.to.lastingOf(ex.protocol()).Add(-1)
	}
	ex.unpick()
	if ex.older != nil {
		ex.older.assets.leave()
	}
	ex.to.roster.leave(ex)
	ex.door.leave()
}

func (ex *exchange) count(broke bool) {
	if ex.probe {
		ex.clock.stop()
		return
	}
	t := &ex.to.tally
	if ex.connected {
		t.inARow.Store(0)
	}
	incomplete := broke || ex.failure != nil || ex.broken != nil
	whole := ex.lasting && ex.stream.whole()
	flow := &ex.env.flow.finished
	switch {
	case ex.older != nil:
		flow = ex.countAsset(incomplete)
	case (incomplete || ex.lasting) && ex.cut() && !whole:
		ex.clock.stop()
		t.cut.Add(1)
		flow = &ex.env.flow.cut
	case ex.aborted, broke && ex.broken == nil:
		ex.clock.stop()
		t.aborted.Add(1)
		flow = &ex.env.flow.givenUp
	case ex.failure != nil, ex.broken != nil:
		flow = &ex.env.flow.lost
		ex.failed(t, ex.cause())
		if isRefusal(ex.failure) {
			t.inARow.Add(1)
		}
	case ex.lasting:
		ex.clock.stop()
		t.answered(ex.status, -1, ex.status >= 500 && ex.counts())
	default:
		if ex.status >= 500 {
			t.failures.add(ex.describe(""))
		}
		failed := ex.status >= 500
		t.answered(ex.status, ex.clock.elapsed(), failed && ex.counts())
		if failed {
			ex.clock.stop() // or a quick error would improve the latency
		}
		ex.clock.settle()
	}
	// In this order, so that what a baseline has among the flow it has among the endings.
	ex.to.endings[rank(ex.protocol())].count(flow == &ex.env.flow.cut, whole)
	flow.Add(1)
}

// failed counts the exchange as an error of t, without a whole answer.
func (ex *exchange) failed(t *tally, cause string) {
	t.failures.add(ex.describe(cause))
	t.failed(cause, ex.counts())
	ex.clock.stop()
}

// counts tells whether an error of the exchange's client counts.
func (ex *exchange) counts() bool { return ex.env.clients.Count(ex.client, time.Now()) }

// cause says why there was no whole answer.
func (ex *exchange) cause() string {
	ne, _ := errors.AsType[net.Error](ex.failure)
	switch {
	case ex.failure == nil:
		return causeBroken
	case isRefusal(ex.failure):
		return causeRefused
	case ne != nil && ne.Timeout(), errors.Is(ex.failure, context.DeadlineExceeded):
		return causeLate
	}
	return causeNone
}

// cut tells whether the exchange was cut by a drain.
func (ex *exchange) cut() bool { return ex.wasCut.Load() }

// clientGone tells whether the client went away or broke off its body. It says
// so only while the exchange is under way: when it ends, the body is closed.
func (ex *exchange) clientGone() bool {
	return ex.in.Context().Err() != nil || ex.sent.failed() != nil
}
