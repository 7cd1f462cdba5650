package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestOverTLSStreamsEndWhereNothingIsCutInTwo(t *testing.T) {
	f, s := scripted(t)
	cert, roots := certificate(t)
	f.table.Listeners = []proxy.Listener{{Name: "main", TLS: []proxy.Certificate{cert}}}
	f.apply(func(*proxy.Environment) {})

	c, err := tls.Dial("tcp", f.address, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	ws := bufio.NewReader(c)
	if res, err := http.ReadResponse(ws, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	f.streams(1)
	s.say <- "\x81\x02hi"

	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	defer transport.CloseIdleConnections()
	events, err := (&http.Client{Transport: transport}).Get("https://" + f.address + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	f.streams(2)

	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: time.Second})
	if got, err := io.ReadAll(ws); string(got) != "\x81\x02hi"+closed1001 || err != nil {
		t.Errorf("the WebSocket ended with %q, %v", got, err)
	}
	c.Close()
	if got, err := io.ReadAll(events.Body); events.ProtoMajor != 2 || err != nil {
		t.Errorf("the event stream over %s ended with %q, %v", events.Proto, got, err)
	}
	if r := <-report; r.Protocols[ship.WebSocket] != (ship.Ending{Closed: 1}) || r.Protocols[ship.SSE] != (ship.Ending{Closed: 1}) {
		t.Errorf("report %+v", r)
	}
}
