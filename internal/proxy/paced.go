package proxy

import (
	"net/http"
	"time"
)

// writeTimeout is how long one piece of an answer may take to leave. There is
// no limit for a whole answer, because event streams have no end.
const writeTimeout = time.Minute

// A pacedWriter gives every write a deadline of its own, so that a client that
// does not read cannot hold a request for ever.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	// streams are reset by a deadline that passes between two writes, too, so
	// that there it has to be lifted after each one. A connection of HTTP/1
	// keeps it, for what is still buffered when the handler returns.
	lift bool
}

func newPacedWriter(w http.ResponseWriter, r *http.Request) *pacedWriter {
	p := &pacedWriter{w, http.NewResponseController(w), r.ProtoMajor >= 2}
	p.extend() // the connection's last request left its own
	p.lifted()
	return p
}

func (w *pacedWriter) extend() {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // supported by both kinds of server
}

func (w *pacedWriter) lifted() {
	if w.lift {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

func (w *pacedWriter) WriteHeader(status int) {
	w.extend()
	defer w.lifted()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.extend()
	defer w.lifted()
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find Flush and Hijack.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
