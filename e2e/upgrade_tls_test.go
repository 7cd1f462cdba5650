package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// certified writes a certificate for 127.0.0.1 beside the configuration and
// returns who trusts it.
func (p *project) certified() *x509.CertPool {
	t := p.w.t
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.write("tls/cert.pem", string(text), 0o600)
	p.write("tls/key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), 0o600)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return roots
}

// secureCrowd asks over TLS in one protocol without pause until stop closes.
type secureCrowd struct {
	url      string
	protocol string
	roots    *x509.CertPool
	sent     atomic.Int64
	failed   atomic.Pointer[string]
}

func (c *secureCrowd) client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.roots}, ForceAttemptHTTP2: c.protocol == "HTTP/2.0",
	}}
}

func (c *secureCrowd) run(stop <-chan struct{}) {
	client := c.client()
	defer client.CloseIdleConnections()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(3 * time.Millisecond):
		}
		res, err := client.Post(c.url+"/order", "text/plain", io.NopCloser(strings.NewReader(fmt.Sprintf("%s-%p-%d", c.protocol, client, n))))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			err = errors.Join(err, res.Body.Close())
			if err == nil && (res.StatusCode != http.StatusOK || res.Proto != c.protocol) {
				err = errors.New(res.Proto + " " + res.Status)
			}
		}
		c.sent.Add(1)
		if err != nil {
			text := err.Error()
			c.failed.CompareAndSwap(nil, &text)
		}
	}
}

// events opens an event stream and counts what comes, until its end.
func (c *secureCrowd) events(t *testing.T) *stream {
	t.Helper()
	client := c.client()
	client.Timeout = 0
	res, err := client.Get(c.url + "/events")
	if err != nil || res.Proto != c.protocol {
		t.Fatalf("event stream: %v, %+v", err, res)
	}
	s := &stream{close: res.Body.Close, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data:") {
				s.ticks.Add(1)
			}
		}
		s.ended.Store(true)
	}()
	t.Cleanup(func() { _ = res.Body.Close(); <-s.done; client.CloseIdleConnections() })
	return s
}

func TestOverTLSInBothVersionsOfHTTPAnUpgradeLosesNothing(t *testing.T) {
	program := other(t)
	w := newWorld(t)
	p := w.street("1s")
	roots := p.certified()
	text, err := os.ReadFile(p.dir + "/shiplock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p.write("shiplock.yaml", strings.Replace(string(text), "drain: 5s", "tls: {cert: tls/cert.pem, key: tls/key.pem}, drain: 5s", 1), 0o644)
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaUnchanged, 1)

	stop := make(chan struct{})
	var all sync.WaitGroup
	var crowds []*secureCrowd
	var streams []*stream
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		c := &secureCrowd{url: fmt.Sprintf("https://127.0.0.1:%d", p.port), protocol: protocol, roots: roots}
		crowds, streams = append(crowds, c), append(streams, c.events(t))
		for range 3 {
			all.Go(func() { c.run(stop) })
		}
	}
	for _, program := range []string{program, w.binary} {
		for i, s := range streams {
			s.goesOn(t, crowds[i].protocol+" before")
		}
		if out, code := w.upgrade(program); code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		for i, s := range streams {
			s.goesOn(t, crowds[i].protocol+" after")
			streams[i] = crowds[i].events(t) // the next one begins at the new worker
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}
	}
	var before []int64
	for _, c := range crowds {
		before = append(before, c.sent.Load())
	}
	w.eventually(20*time.Second, "requests go on", func() error {
		for i, c := range crowds {
			if c.sent.Load() < before[i]+20 {
				return errors.New(c.protocol)
			}
		}
		return nil
	})
	close(stop)
	all.Wait()
	for _, c := range crowds {
		if why := c.failed.Load(); why != nil {
			t.Errorf("%s: of %d requests some failed, the first: %s", c.protocol, c.sent.Load(), *why)
		}
	}
}
