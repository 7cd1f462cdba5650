package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// explainError says why there was no answer.
func explainError(err error, t Target) string {
	var ne net.Error
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens on %s: the application has not opened its port yet, or listens on another one than $PORT", t.Address)
	case errors.Is(err, context.Canceled):
		return "the probe was cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return fmt.Sprintf("no answer within %s on %s%s", t.Timeout, t.Address, t.Path)
	case errors.As(err, &record):
		return fmt.Sprintf("what listens on %s speaks no TLS", t.Address)
	case errors.As(err, &certificate):
		return fmt.Sprintf("the certificate of %s is not valid for %s", t.Address, hostname(t.Host))
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "readLoopPeekFailLocked"): // it speaks before it is asked
		return fmt.Sprintf("what listens on %s does not speak HTTP", t.Address)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Sprintf("the connection to %s was closed before the answer was complete: the application crashed at the request, or does not speak HTTP", t.Address)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	return fmt.Sprintf("no answer from %s: %v", t.Address, err)
}

// explainStatus says what an answer that is not 2xx means.
func explainStatus(res *http.Response, body string, t Target) string {
	code := strconv.Itoa(res.StatusCode)
	switch {
	case res.StatusCode >= 300 && res.StatusCode <= 399:
		return code + explainRedirect(res.Header.Get("Location"), t)
	case res.StatusCode == http.StatusBadRequest && rejectsHost(body):
		return fmt.Sprintf("400: Django rejected the Host header; add %s to ALLOWED_HOSTS, or set health.host to a host that is in it", quoted(hostname(t.Host)))
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("%s on %s: the health path must be answered without a login", code, t.Path)
	case res.StatusCode == http.StatusNotFound:
		return fmt.Sprintf("404 on %s with Host %s: the application has no such path, or knows this host not; set health.path", t.Path, t.Host)
	}
	if said := summary(res.Header.Get("Content-Type"), body); said != "" {
		return fmt.Sprintf("%s on %s: the application says %s", code, t.Path, quoted(said))
	}
	return fmt.Sprintf("%s on %s", code, t.Path)
}

func explainRedirect(location string, t Target) string {
	to, err := url.Parse(location)
	if location == "" || err != nil {
		return " without a usable Location: 2xx is expected"
	}
	where := " to " + truncated(location) + ": "
	path, _, _ := strings.Cut(t.Path, "?")
	switch {
	case to.Path == path+"/":
		return where + "set health.path to " + to.Path
	case strings.Contains(to.Path, "login") || strings.Contains(to.Path, "signin"):
		return where + "the health path must be answered without a login"
	case to.Scheme == "https" && to.Path == path:
		return where + "the application forces HTTPS although the probe sends X-Forwarded-Proto: https, as the proxy does; " +
			"let it trust that header (Django: SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')) or exempt the path (SECURE_REDIRECT_EXEMPT)"
	case to.Host != "" && to.Hostname() != hostname(t.Host):
		return where + "the application sends " + t.Host + " to another host; set health.host to " + to.Hostname()
	}
	return where + "2xx is expected and redirects are not followed; set health.path to a path that answers itself"
}

// rejectsHost recognises Django's answer to an unknown Host, with and without DEBUG.
func rejectsHost(body string) bool {
	return strings.Contains(body, "DisallowedHost") || strings.Contains(body, "Invalid HTTP_HOST header") ||
		strings.Contains(body, "<h1>Bad Request (400)</h1>")
}

var (
	titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	credentials  = regexp.MustCompile(`://[^\s/@]*@`)
)

// summary returns what an answer says in a few words: the title of a page, or
// the beginning of a text.
func summary(contentType, body string) string {
	if strings.Contains(contentType, "html") {
		m := titleElement.FindStringSubmatch(body)
		if m == nil {
			return ""
		}
		body = html.UnescapeString(m[1])
	} else if !strings.Contains(contentType, "text") && !strings.Contains(contentType, "json") {
		return ""
	}
	body = credentials.ReplaceAllString(body, "://***@")
	return truncated(strings.Join(strings.Fields(body), " "))
}

func truncated(s string) string {
	const limit = 160
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// quoted makes text from outside safe to print.
func quoted(s string) string { return strconv.Quote(s) }
