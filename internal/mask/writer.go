package mask

import (
	"io"
	"sync"
)

// Writer returns a writer that replaces the secrets in what is written to it
// and passes the rest on to w. A secret may come in any number of writes: what
// may be the beginning of one is held back, never more than the length of the
// longest secret, until the next write or Close shows what it is. Close does
// not close w. What Close finds held back is taken for a cut secret when it is
// at least half of one.
func (m *Masker) Writer(w io.Writer) io.WriteCloser {
	return &writer{masker: m, to: w}
}

// A writer is a [Masker] at work on a stream.
type writer struct {
	masker *Masker
	to     io.Writer

	mu   sync.Mutex
	buf  []byte // not yet passed on
	dark int    // leading bytes of buf that belong to a secret whose stars are written
	err  error
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if len(w.masker.patterns) == 0 {
		return w.to.Write(p)
	}
	w.buf = append(w.buf, p...)
	if err := w.pass(len(w.buf)-w.masker.held(w.buf), false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return w.pass(len(w.buf), true)
}

// pass writes the masked form of the first n bytes. Secrets that overlap give
// one run of stars.
func (w *writer) pass(n int, last bool) error {
	var out []byte
	dark := w.dark
	for i := range n {
		if size := w.size(w.buf[i:], last); size > 0 {
			if i >= dark {
				out = append(out, Stars...)
			}
			dark = max(dark, i+size)
		}
		if i >= dark {
			out = append(out, w.buf[i])
		}
	}
	w.dark = max(0, dark-n)
	w.buf = append(w.buf[:0], w.buf[n:]...)
	if len(out) == 0 {
		return nil
	}
	_, w.err = w.to.Write(out)
	return w.err
}

// size returns how many bytes at the start of b are a secret.
func (w *writer) size(b []byte, last bool) int {
	if size := w.masker.match(b); size > 0 || !last || len(b) < minSecret || len(b) > w.masker.longest {
		return size
	}
	if p := w.masker.begins(b); p != nil && len(b) >= (len(p)+1)/2 {
		return len(b)
	}
	return 0
}
