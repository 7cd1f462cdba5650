package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// BenchmarkARequest is one GET through the proxy. Client and application are
// fixed bytes, so that what is allocated is the proxy's.
func BenchmarkARequest(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nServer: app\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world"
	l := listen(b)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c, answer)
		}
	}()
	p := proxy.New(proxy.Config{})
	front := listen(b)
	if err := p.SetTable(proxy.Table{
		Revision: 1, Listeners: []proxy.Listener{{Name: "main"}},
		Environments: []proxy.Environment{{
			ID: shop, Listen: []string{"main"}, Active: ship.Blue,
			Slots: map[ship.Slot]proxy.Backend{ship.Blue: {Generation: "b1", Addresses: []string{l.Addr().String()}, Release: "1"}},
		}},
	}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Serve(ctx, map[string]net.Listener{"main": front}) }()
	defer func() { cancel(); <-done }()
	c, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := []byte("GET /products?page=2 HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(buf[:n], []byte("hello world")); {
			m, err := c.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
}

// echo answers every request, whose bytes come at once, with the same bytes.
func echo(c net.Conn, answer string) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}
