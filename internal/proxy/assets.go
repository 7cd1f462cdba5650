package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// maxDiscarded is how much of an answer nobody wants is read so that its
// connection can be used again.
const maxDiscarded = 16 << 10

// before returns who may know an asset that t does not: the release that was
// active before, while it is kept, or in a split the other one.
func (env *environment) before(t *target) *target {
	if other := env.partner(t); other != nil {
		return other
	}
	if env.kept != nil && env.kept.generation != t.generation {
		return env.kept
	}
	return nil
}

// keepers returns the targets that may be asked for another's assets.
func (env *environment) keepers() []*target {
	switch {
	case env.active == nil:
		return nil
	case env.split != nil:
		return env.takers()
	case env.kept != nil:
		return []*target{env.kept}
	}
	return nil
}

// isAsset tells whether r asks for a file of a release and nothing else.
func (env *environment) isAsset(r *http.Request) bool {
	path := env.Proxy.AssetPath
	return path != "" && r.Method == http.MethodGet && r.ContentLength == 0 && strings.HasPrefix(r.URL.Path, path)
}

// asset returns the answer of the release before, when it has the asset that
// this one does not know: a page that was loaded before the swap still asks
// for its own style sheet.
func (ex *exchange) asset(out *http.Request, res *http.Response) *http.Response {
	if res.StatusCode != http.StatusNotFound || ex.probe || !ex.env.isAsset(ex.in) {
		return res
	}
	t := ex.env.before(ex.to)
	if t == nil || !t.assets.enter() {
		return res
	}
	a := t.pick(nil)
	if a == nil {
		t.assets.leave()
		return res
	}
	again := out.Clone(out.Context())
	again.URL.Host = a.hostport
	found, err := t.transport.RoundTrip(again)
	if err == nil && !isFound(found.StatusCode) {
		discard(found)
	}
	if err != nil || !isFound(found.StatusCode) {
		t.assets.leave()
		return res
	}
	discard(res)
	ex.older = t
	return found
}

func isFound(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusNotModified
}

func discard(res *http.Response) {
	if res.ContentLength >= 0 && res.ContentLength <= maxDiscarded {
		_, _ = io.Copy(io.Discard, res.Body)
	}
	_ = res.Body.Close()
}

// countAsset counts an asset that the release before answered for. It is
// nobody's success and nobody's error.
func (ex *exchange) countAsset(incomplete bool) *atomic.Int64 {
	ex.clock.stop()
	ex.older.tally.assets.Add(1)
	switch {
	case !incomplete:
		return &ex.env.flow.finished
	case ex.cut():
		return &ex.env.flow.cut
	case ex.broken == nil:
		return &ex.env.flow.givenUp
	}
	return &ex.env.flow.lost
}
