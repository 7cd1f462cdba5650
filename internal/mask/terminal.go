package mask

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Terminal returns s without anything that acts on a terminal: escape
// sequences with all they carry, control characters but newline and tab, and
// characters that change the direction of text. Bytes that are not UTF-8
// become U+FFFD.
func Terminal(s string) string {
	var b strings.Builder
	w := TerminalWriter(&b)
	_, _ = w.Write([]byte(s)) // a strings.Builder takes everything
	_ = w.Close()
	return b.String()
}

// TerminalWriter returns a writer that passes on to w what [Terminal] leaves
// of what is written to it. A sequence may come in any number of writes; one
// that is not ended is dropped up to the end of its line, so that it cannot
// swallow the log. Close does not close w.
func TerminalWriter(w io.Writer) io.WriteCloser {
	return &terminal{to: w}
}

// A state is where in an escape sequence a terminal is.
type state int

const (
	ground      state = iota
	afterESC          // after ESC
	inCSI             // in a control sequence, until its final byte
	inString          // in a string (OSC, DCS, SOS, PM, APC), until BEL or ST
	inStringESC       // in a string, after ESC
)

// A terminal follows a stream as a terminal would and passes on what is shown.
type terminal struct {
	to io.Writer

	mu    sync.Mutex
	state state
	part  []byte // the beginning of a rune, at most three bytes
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in := append(t.part, p...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 && utf8.FullRune(in) {
		r, size := utf8.DecodeRune(in)
		in = in[size:]
		if t.shows(r) {
			out = utf8.AppendRune(out, r)
		}
	}
	t.part = bytes.Clone(in)
	if len(out) > 0 {
		if _, err := t.to.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (t *terminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.part) == 0 || t.state != ground {
		return nil
	}
	t.part = nil
	_, err := io.WriteString(t.to, string(utf8.RuneError))
	return err
}

// shows takes the next rune and tells whether a reader may see it.
func (t *terminal) shows(r rune) bool {
	if r == '\n' { // ends every sequence: see TerminalWriter
		t.state = ground
		return true
	}
	switch t.state {
	case afterESC:
		t.state = afterEscape(r)
		return false
	case inCSI:
		if r >= '@' && r <= '~' || r == 0x18 || r == 0x1a {
			t.state = ground
		} else if r == 0x1b {
			t.state = afterESC
		}
		return false
	case inString, inStringESC:
		t.state = inText(t.state, r)
		return false
	}
	if next := introducer(r); next != ground {
		t.state = next
		return false
	}
	return r == '\t' || !isControl(r) && !isDirection(r)
}

// introducer returns the state that r, seen outside of any sequence, begins.
func introducer(r rune) state {
	switch r {
	case 0x1b:
		return afterESC
	case 0x9b:
		return inCSI
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f:
		return inString
	}
	return ground
}

func afterEscape(r rune) state {
	switch {
	case r == '[':
		return inCSI
	case strings.ContainsRune("]PX^_", r):
		return inString
	case r == 0x1b, r >= ' ' && r <= '/': // intermediate bytes: more is to come
		return afterESC
	}
	return ground
}

func inText(s state, r rune) state {
	switch {
	case r == 0x07, r == 0x9c, r == 0x18, r == 0x1a, s == inStringESC && r == '\\':
		return ground
	case r == 0x1b:
		return inStringESC
	case s == inStringESC: // ESC and another byte end the string too
		return afterEscape(r)
	}
	return inString
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }

// isDirection tells whether r makes text read in another order than it is
// stored, which can make a line show what it does not say.
func isDirection(r rune) bool {
	return r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
