package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

// A sentry reads along on a connection of HTTP/1 and ends it before a request
// that servers understand in different ways. Go's server is lenient with some
// of them and leaves no trace: it drops a Content-Length beside a
// Transfer-Encoding, joins folded lines, and ignores the Host beside a whole
// URL. A proxy before us that understands them otherwise could be made to see
// other requests than we do.
//
// It follows the framing by itself. Where it is stricter than the server, the
// server sees the connection end within the header and answers 400; nothing
// after that is read.
type sentry struct {
	net.Conn
	off   atomic.Bool // the connection was upgraded
	ended bool

	at   section
	line []byte // the beginning of a line whose end has not come yet
	left int64  // bytes of a body or a chunk to come

	// Of the request whose header is read.
	old     bool   // not HTTP/1.1
	length  int64  // -1 is none
	chunked bool   // it has a Transfer-Encoding
	target  []byte // host of an absolute URL
}

// A section is the part of a request that comes next.
type section int

const (
	atRequest section = iota // its first line
	atHeader
	atBody
	atChunkSize
	atChunk
	atTrailer
)

// maxLine bounds what is kept of a line that has not ended. The server's own
// limit for the whole header comes before.
const maxLine = maxHeaderBytes + 8<<10

func (s *sentry) Read(p []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	n, err := s.Conn.Read(p)
	if n == 0 || s.off.Load() {
		return n, err
	}
	if good := s.follow(p[:n]); good < n {
		s.ended = true
		return good, io.EOF
	}
	return n, err
}

// CloseWrite lets the server wait for its last answer to be read.
func (s *sentry) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.Conn.Close()
}

// follow returns how many bytes of b are good.
func (s *sentry) follow(b []byte) int {
	for from := 0; from < len(b); {
		rest := b[from:]
		if s.at == atBody || s.at == atChunk {
			n := min(s.left, int64(len(rest)))
			s.skip(n)
			from += int(n)
			continue
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if len(s.line)+len(rest) > maxLine {
				return from
			}
			s.line = append(s.line, rest...)
			return len(b)
		}
		line := rest[:i+1]
		if len(s.line) > 0 {
			s.line = append(s.line, line...)
			line = s.line
			s.line = nil
		}
		if len(line) > maxLine || !s.take(line) {
			return from
		}
		from += i + 1
	}
	return len(b)
}

func (s *sentry) skip(n int64) {
	if s.left -= n; s.left > 0 {
		return
	}
	if s.at == atChunk {
		s.at = atChunkSize
		return
	}
	s.at = atRequest
}

// take looks at a whole line, and tells whether it is good.
func (s *sentry) take(line []byte) bool {
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return false // a bare line feed ends a line for some servers only
	}
	switch s.at {
	case atRequest:
		return s.takeRequest(line)
	case atHeader:
		if len(line) == 0 {
			s.endHeader()
			return true
		}
		return s.takeField(line)
	case atChunkSize:
		return s.takeChunk(line)
	case atTrailer:
		if len(line) == 0 {
			s.at = atRequest
			return true
		}
		return !folded(line)
	case atBody, atChunk: // have no lines
	}
	return false
}

func folded(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

// takeRequest begins a request. Whether its line is one is for the server to
// say.
func (s *sentry) takeRequest(line []byte) bool {
	if len(line) == 0 {
		return true // some clients send an empty line after a body
	}
	s.at, s.length, s.chunked, s.target = atHeader, -1, false, s.target[:0]
	s.old = !bytes.HasSuffix(line, []byte(" HTTP/1.1"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	if _, rest, ok := bytes.Cut(target, []byte("://")); ok && !bytes.HasPrefix(target, []byte("/")) {
		if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
			rest = rest[:i]
		}
		s.target = append(s.target, rest...)
	}
	return true
}

// takeField looks at a line of a request's header.
func (s *sentry) takeField(line []byte) bool {
	if folded(line) {
		return false
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case is(name, "content-length"):
		n, err := strconv.ParseUint(string(bytes.Trim(value, " \t")), 10, 63)
		if err != nil || s.length >= 0 || s.chunked {
			return false
		}
		s.length = int64(n)
	case is(name, "transfer-encoding"):
		if s.length >= 0 || s.chunked || s.old {
			return false
		}
		s.chunked = true
	case is(name, "host") && len(s.target) > 0:
		return bytes.EqualFold(bytes.Trim(value, " \t"), s.target)
	}
	return true
}

func is(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

func (s *sentry) endHeader() {
	switch {
	case s.chunked:
		s.at = atChunkSize
	case s.length > 0:
		s.at, s.left = atBody, s.length
	default:
		s.at = atRequest
	}
}

// takeChunk looks at the line before a chunk. The data ends in a line break of
// its own, which the server looks at.
func (s *sentry) takeChunk(line []byte) bool {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 62)
	if err != nil {
		return false
	}
	if n == 0 {
		s.at = atTrailer
		return true
	}
	s.at, s.left = atChunk, int64(n)+2
	return true
}

// Hijack takes the connection out of the sentry's view: what is spoken after
// an upgrade is not HTTP.
func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	switch s := c.(type) {
	case *sentry:
		s.off.Store(true)
		return s.Conn, buffered, err
	case *tlsSentry:
		s.off.Store(true)
		return s.Conn, buffered, err
	}
	return c, buffered, err
}
