package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// statusClientGone is what a request ends with whose client went away.
const statusClientGone = 499

// A refusal is an answer of the proxy's own.
type refusal struct {
	status     int
	title      string // default the status text
	text       string // a sentence for the person who asked
	retryAfter time.Duration
	hangUp     bool // the connection ends: what comes on it is not wanted
}

const pageStyle = `:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-content:center;` +
	`font:1.05rem/1.6 system-ui,sans-serif;background:Canvas;color:CanvasText}` +
	`main{max-width:34rem;padding:2rem}h1{font-size:1.5rem;margin:0 0 .5rem}p{margin:0 0 1rem;white-space:pre-line}small{opacity:.65}`

func pageTemplate() *template.Template {
	return template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title><style>` + pageStyle + `</style>
<main><h1>{{.Title}}</h1><p>{{.Text}}</p><small>{{.Status}} · request {{.ID}}</small></main>
</html>
`))
}

// pagePolicy lets the page's own style in and nothing else.
func pagePolicy() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// pages writes refusals.
type pages struct {
	html   *template.Template
	policy string
}

// refuse answers r with no, as HTML, JSON or text by what the client accepts.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, id string, no refusal) {
	if no.status == statusClientGone {
		w.WriteHeader(no.status)
		return
	}
	if no.title == "" {
		no.title = http.StatusText(no.status)
	}
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if no.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(no.retryAfter.Seconds()))))
	}
	if no.hangUp || p.front.retiring.Load() {
		h.Set("Connection", "close")
	}
	var body bytes.Buffer
	h.Set("Content-Type", p.pages.write(&body, r.Header.Get("Accept"), id, no))
	h.Set("Content-Security-Policy", p.pages.policy)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(no.status)
	_, _ = body.WriteTo(w) // the client may be gone
}

// write writes no and returns its content type.
func (pg *pages) write(w io.Writer, accept, id string, no refusal) string {
	view := struct {
		Status int    `json:"status"`
		Title  string `json:"title"`
		Text   string `json:"detail"`
		ID     string `json:"request_id"`
	}{no.status, no.title, no.text, id}
	switch {
	case strings.Contains(accept, "text/html"):
		if err := pg.html.Execute(w, view); err == nil {
			return "text/html; charset=utf-8"
		}
	case strings.Contains(accept, "json"):
		if err := json.NewEncoder(w).Encode(view); err == nil {
			return "application/json"
		}
	}
	fmt.Fprintf(w, "%s\n%s\n", no.title, no.text)
	return "text/plain; charset=utf-8"
}

// quoted returns what a client sent in a form that is safe to show.
func quoted(s string) string {
	if len(s) > 100 {
		s = s[:100]
	}
	return strconv.QuoteToASCII(s)
}

// bytesText returns a number of bytes for people.
func bytesText(n int64) string {
	for _, unit := range []string{"bytes", "KB", "MB"} {
		if n < 1<<10 || n%(1<<10) != 0 {
			return strconv.FormatInt(n, 10) + " " + unit
		}
		n >>= 10
	}
	return strconv.FormatInt(n, 10) + " GB"
}
