package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// relay is what [httputil.ReverseProxy] is to other requests, for those that
// go over a [link]: it asks the application and copies its answer.
func (ex *exchange) relay(w http.ResponseWriter) {
	defer ex.release()
	out := ex.outgoing()
	res, err := ex.send(func(a *address) (*http.Response, error) {
		return ex.roundTrip(out, a, func(res *http.Response) { interim(w, res) })
	})
	if err != nil {
		ex.fail(w, err)
		return
	}
	defer res.Body.Close()
	dropHopByHop(res.Header)
	if err := ex.answered(res); err != nil {
		ex.fail(w, err)
		return
	}
	h := w.Header()
	for name, values := range res.Header {
		h[name] = values
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // the server would guess one
	}
	announced := len(res.Trailer)
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	w.WriteHeader(res.StatusCode)
	if err := ex.copyBody(w, res); err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(res.Trailer) > 0 {
		writeTrailer(w, res.Trailer, announced)
	}
	if l := ex.link.Load(); l.again(res) {
		ex.spare = l
	}
}

// interim passes on an answer with status 1xx.
func interim(w http.ResponseWriter, res *http.Response) {
	dropHopByHop(res.Header)
	h := w.Header()
	for name, values := range res.Header {
		h[name] = values
	}
	w.WriteHeader(res.StatusCode)
	clear(h)
}

// copyBody copies the body of the answer. What the application sends without
// telling its length is passed on as soon as it comes.
func (ex *exchange) copyBody(w http.ResponseWriter, res *http.Response) error {
	if res.Body == nil || ex.link.Load().body.ended.Load() {
		return nil
	}
	atOnce := res.ContentLength < 0
	reader := ex.link.Load().reader
	flush := http.NewResponseController(w).Flush
	if atOnce && reader.Buffered() == 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	buf := ex.proxy.buffers.Get()
	defer ex.proxy.buffers.Put(buf)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if atOnce && reader.Buffered() == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// writeTrailer sends the trailer, also of names that were not announced.
func writeTrailer(w http.ResponseWriter, trailer http.Header, announced int) {
	// Without it a short answer would get a length and no trailer.
	_ = http.NewResponseController(w).Flush()
	prefix := http.TrailerPrefix
	if len(trailer) == announced {
		prefix = ""
	}
	for name, values := range trailer {
		w.Header()[prefix+name] = values
	}
}

// release gives the exchange's link back, or closes it.
func (ex *exchange) release() {
	l := ex.link.Load()
	if l == nil {
		return
	}
	unwatched := ex.unwatch == nil || ex.unwatch()
	if ex.spare == l && unwatched && !ex.gone.Load() {
		ex.at.links.put(l, keepAlive(ex.env.Proxy))
		return
	}
	l.close()
}

// hopByHop are headers that concern one connection only.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// dropHopByHop removes from an answer what concerns our connection to the
// instance.
func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if hopByHop(name) {
			delete(h, name)
		}
	}
}

// buffers lends what answers are copied through.
type buffers struct{ pool sync.Pool }

const copyBuffer = 32 << 10

// Get and Put are those of [httputil.BufferPool].
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return p[:]
	}
	return make([]byte, copyBuffer)
}

// Put takes a buffer that Get lent.
func (b *buffers) Put(p []byte) {
	if len(p) == copyBuffer {
		b.pool.Put((*[copyBuffer]byte)(p))
	}
}
