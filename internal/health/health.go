// Package health asks web instances over HTTP whether they are well, and says
// in a sentence what to change when they are not. It knows nothing of how the
// instances are run.
package health

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout = 5 * time.Second
	// maxBody is read of an answer; what comes after it is not waited for.
	maxBody = 64 << 10
)

// A Target is one instance and what it is asked.
type Target struct {
	Address string        // host:port
	Path    string        // with query; "" is "/"
	Host    string        // Host header; "" is Address
	Timeout time.Duration // of one probe; 0 is 5 s
	TLS     bool          // the instance speaks TLS; certificates of loopback addresses are not verified
}

// A Result is the answer to one probe.
type Result struct {
	OK      bool
	Status  int           // 0 when there was no answer
	Latency time.Duration // until the answer was read
	Explain string        // one sentence; what to change when it is not OK
}

// Probe asks t once. Only 2xx is OK; redirects are not followed. The probe
// looks to the application like a request that came over HTTPS through the
// proxy, so that it is not sent there first.
func Probe(ctx context.Context, t Target) Result {
	t = t.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	begun := time.Now()
	req, err := t.request(ctx)
	if err != nil {
		return Result{Explain: "the health path " + quoted(t.Path) + " is not a path"}
	}
	client := t.client()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return Result{Latency: time.Since(begun), Explain: explainError(err, t)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	r := Result{Status: res.StatusCode, Latency: time.Since(begun)}
	switch {
	case err != nil:
		r.Explain = explainError(err, t)
	case res.StatusCode >= 200 && res.StatusCode <= 299:
		r.OK, r.Explain = true, "answered "+res.Status
	default:
		r.Explain = explainStatus(res, string(body), t)
	}
	return r
}

func (t Target) withDefaults() Target {
	if t.Timeout <= 0 {
		t.Timeout = defaultTimeout
	}
	if t.Host == "" {
		t.Host = t.Address
	}
	if !strings.HasPrefix(t.Path, "/") {
		t.Path = "/" + t.Path
	}
	return t
}

func (t Target) request(ctx context.Context) (*http.Request, error) {
	u, err := url.ParseRequestURI(t.Path)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = "http", t.Address
	if t.TLS {
		u.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Host = t.Host
	req.Header.Set("User-Agent", "shiplock-health")
	req.Header.Set("X-Shiplock-Probe", "1") // the proxy lets nobody else say so
	req.Header.Set("Accept", "*/*")
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", t.Host)
	req.Header.Set("X-Forwarded-For", "127.0.0.1")
	return req, nil
}

// client returns a client with a connection of its own: a probe over an old
// connection would not notice that nothing listens any more.
func (t Target) client() *http.Client {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: hostname(t.Host)}
	if ip, err := netip.ParseAddr(hostname(t.Address)); err == nil && ip.IsLoopback() {
		cfg.InsecureSkipVerify = true // nobody is between us and ourselves
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: t.Timeout}).DialContext,
			TLSClientConfig:        cfg,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return hostport
}
