package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// script is an application that speaks by hand: it upgrades to WebSocket on
// /ws and streams events on /events, and writes what the test tells it to.
// What it reads on a WebSocket comes out of heard; when it hears a Close frame
// it answers with one, unless it is mute.
type script struct {
	say   chan string
	heard chan []byte
	mute  bool
}

func newScript() *script { return &script{say: make(chan string), heard: make(chan []byte, 100)} }

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case text := <-s.say:
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		p := make([]byte, 1024)
		for {
			n, err := rw.Read(p)
			if n > 0 {
				s.heard <- bytes.Clone(p[:n])
			}
			if err != nil || n > 0 && p[0] == 0x88 && !s.mute {
				return
			}
		}
	}()
	defer c.Close()
	for {
		select {
		case text := <-s.say:
			_, _ = io.WriteString(c, text)
		case <-gone:
			_, _ = c.Write([]byte{0x88, 2, 0x03, 0xe8}) // 1000, which is not what the client is to hear
			return
		}
	}
}

// A wire is a client's connection that was upgraded, or that gets events.
type wire struct {
	net.Conn
	*bufio.Reader
	res *http.Response
}

func (w wire) Read(p []byte) (int, error) { return w.Reader.Read(p) }

func (f *fixture) wire(path, upgrade string) wire {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: shop.test\r\n", path)
	if upgrade != "" {
		fmt.Fprintf(c, "Connection: Upgrade\r\nUpgrade: %s\r\n", upgrade)
	}
	fmt.Fprint(c, "\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return wire{c, r, res}
}

func scripted(t *testing.T) (*fixture, *script) {
	s := newScript()
	return start(t, map[ship.Slot]proxy.Backend{
		ship.Blue: backend("b1", app(t, s.ServeHTTP)), ship.Green: backend("g1", app(t, says("new"))),
	}), s
}

// drained drains b1 in the background.
func (f *fixture) drained(g proxy.Grace) <-chan proxy.DrainReport {
	done := make(chan proxy.DrainReport, 1)
	go func() {
		r, err := f.proxy.Drain(f.t.Context(), shop, "b1", g)
		if err != nil {
			f.t.Error(err)
		}
		done <- r
	}()
	return done
}

func (f *fixture) streams(n int64) {
	f.t.Helper()
	eventually(f.t, "the streams are open", func() bool { return f.generation("b1").Lasting == n })
}

var closed1001 = string([]byte{0x88, 2, 0x03, 0xe9})

func TestAWebSocketBetweenTwoMessagesIsEndedWithStatus1001(t *testing.T) {
	for _, mute := range []bool{false, true} {
		f, s := scripted(t)
		s.mute = mute
		c := f.wire("/ws", "websocket")
		f.streams(1)
		s.say <- "\x81\x02hi"
		f.shift(ship.Green)
		report := f.drained(proxy.Grace{Requests: 0, Lasting: 300 * time.Millisecond})
		got, err := io.ReadAll(c)
		if string(got) != "\x81\x02hi"+closed1001 || err != nil {
			t.Errorf("mute %v: the client read %q, %v", mute, got, err)
		}
		c.Close()
		if h := <-s.heard; len(h) != 8 || h[0] != 0x88 || h[1] != 0x82 || h[6]^h[2] != 0x03 || h[7]^h[3] != 0xe9 {
			t.Errorf("mute %v: the application heard % x, want a masked Close frame with 1001", mute, h)
		}
		r := <-report
		if e := r.Protocols[ship.WebSocket]; r.InFlight != 1 || r.Cut != 0 || r.Drained != 1 || e != (ship.Ending{Closed: 1}) {
			t.Errorf("mute %v: report %+v", mute, r)
		}
		if c := f.generation("b1").Counters; c.Cut != 0 || c.Errors != 0 {
			t.Errorf("mute %v: counters %+v", mute, c)
		}
	}
}

func TestAWebSocketMessageOnItsWayIsNotCutInTwo(t *testing.T) {
	f, s := scripted(t)
	c := f.wire("/ws", "websocket")
	f.streams(1)
	s.say <- "\x01\x02ab" // the first part of a message
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: 2 * time.Second})
	read := make([]byte, 4)
	if _, err := io.ReadFull(c, read); err != nil {
		t.Fatal(err)
	}
	if left := f.generation("b1").Left; left[ship.WebSocket] != 1 || left[ship.HTTP] != 0 {
		t.Errorf("left %v", left)
	}
	s.say <- "\x80\x04c"
	s.say <- "def"
	got, err := io.ReadAll(c)
	if string(got) != "\x80\x04cdef"+closed1001 || err != nil {
		t.Errorf("the client read %q, %v", got, err)
	}
	c.Close()
	if r := <-report; r.Protocols[ship.WebSocket] != (ship.Ending{Closed: 1}) {
		t.Errorf("report %+v", r)
	}
}

func TestAWebSocketThatNeverComesToABoundaryIsCutAtTheDeadline(t *testing.T) {
	f, s := scripted(t)
	s.mute = true
	c := f.wire("/ws", "websocket")
	f.streams(1)
	s.say <- "\x81\x7ehalf"
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: 100 * time.Millisecond})
	if got, _ := io.ReadAll(c); string(got) != "\x81\x7ehalf" {
		t.Errorf("the client read %q", got)
	}
	r := <-report
	if e := r.Protocols[ship.WebSocket]; e != (ship.Ending{Cut: 1}) || r.Cut != 1 || r.Lasting != 1 || r.Took < 100*time.Millisecond {
		t.Errorf("report %+v", r)
	}
}

func TestAnotherProtocolIsLeftAloneUntilTheDeadline(t *testing.T) {
	f, s := scripted(t)
	c := f.wire("/ws", "tunnel")
	f.streams(1)
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: 400 * time.Millisecond})
	s.say <- "still there"
	if got, _ := io.ReadAll(c); string(got) != "still there" {
		t.Errorf("the client read %q", got)
	}
	if r := <-report; r.Protocols[ship.Upgrade] != (ship.Ending{Cut: 1}) || r.Took < 400*time.Millisecond {
		t.Errorf("report %+v", r)
	}
}

func TestAnEventStreamEndsBetweenTwoEvents(t *testing.T) {
	f, s := scripted(t)
	idle := f.wire("/events", "")
	s.say <- "data: one\n\n"
	fresh := f.wire("/events", "")
	f.streams(2)
	if line, err := bufio.NewReader(idle.res.Body).ReadString('\n'); line != "data: one\n" || err != nil {
		t.Fatal(line, err)
	}
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: time.Second})
	for _, c := range []wire{idle, fresh} {
		if rest, err := io.ReadAll(c.res.Body); err != nil {
			t.Errorf("the stream ended in %q with %v, want the end of a whole answer", rest, err)
		}
	}
	if r := <-report; r.Protocols[ship.SSE] != (ship.Ending{Closed: 2}) || r.Cut != 0 {
		t.Errorf("report %+v", r)
	}
	// The connection is the client's: it asks again on it.
	fmt.Fprint(idle, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	res, err := http.ReadResponse(idle.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "new" {
		t.Errorf("answered %q", body)
	}
}

func TestAnEventOnItsWayIsNotCutInTwo(t *testing.T) {
	f, s := scripted(t)
	c := f.wire("/events", "")
	f.streams(1)
	s.say <- "data: tw" // from here on, nothing that is written ends with an event
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: time.Second})
	gone := make(chan struct{})
	var got []byte
	var err error
	go func() {
		defer close(gone)
		got, err = io.ReadAll(c.res.Body)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-gone:
			open = false
		case <-tick.C:
			select {
			case s.say <- "o\nid: 2\n\ndata: tw":
			case <-gone:
			}
		}
	}
	if n := bytes.Count(got, []byte("data: two\nid: 2\n\n")); err != nil || n == 0 || len(got) != n*len("data: two\nid: 2\n\n") {
		t.Errorf("the stream ended with %q, %v", got, err)
	}
	if r := <-report; r.Protocols[ship.SSE] != (ship.Ending{Closed: 1}) {
		t.Errorf("report %+v", r)
	}
}

func TestAnEventStreamThatNeverComesToAnEndIsCutAtTheDeadline(t *testing.T) {
	f, s := scripted(t)
	c := f.wire("/events", "")
	f.streams(1)
	s.say <- "data: half"
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Lasting: 100 * time.Millisecond})
	if _, err := io.ReadAll(c.res.Body); err == nil {
		t.Error("half an event ended as if it were whole")
	}
	if r := <-report; r.Protocols[ship.SSE] != (ship.Ending{Cut: 1}) || r.Took < 100*time.Millisecond {
		t.Errorf("report %+v", r)
	}
}

func TestStreamsOutliveTheGraceOfPlainRequestsAndEndOneAfterTheOther(t *testing.T) {
	f, _ := scripted(t)
	const n = 8
	ended := make(chan time.Time, n)
	for range n {
		c := f.wire("/events", "")
		go func() {
			_, _ = io.ReadAll(c.res.Body)
			ended <- time.Now()
		}()
	}
	f.streams(n)
	f.shift(ship.Green)
	report := f.drained(proxy.Grace{Requests: 0, Lasting: 2 * time.Second})
	first := <-ended
	last := first
	for range n - 1 {
		last = <-ended
	}
	r := <-report
	// They are spread over 1.6 s, the nine parts of which have a length of
	// 0.18 s: the last comes 1.2 s after the first, if nobody is in a hurry.
	if spread := last.Sub(first); spread < 600*time.Millisecond {
		t.Errorf("all ended within %s", spread)
	}
	if r.Protocols[ship.SSE] != (ship.Ending{Closed: n}) || r.Took > 15*time.Second {
		t.Errorf("report %+v", r)
	}
}

func TestARetiringProxyEndsStreamsWhereNothingIsCutInTwo(t *testing.T) {
	f, _ := scripted(t)
	ws, events := f.wire("/ws", "websocket"), f.wire("/events", "")
	f.streams(2)
	heard := make(chan string, 2)
	go func() {
		got, err := io.ReadAll(ws)
		heard <- fmt.Sprint(string(got) == closed1001, err)
		ws.Close()
	}()
	go func() {
		got, err := io.ReadAll(events.res.Body)
		heard <- fmt.Sprint(len(got) == 0, err)
	}()
	if err := f.proxy.Retire(t.Context(), 3*time.Second); err != nil {
		t.Error(err)
	}
	for range 2 {
		if got := <-heard; got != "true <nil>" {
			t.Errorf("a stream ended otherwise: %s", got)
		}
	}
}

func TestStreamsEndBeforeAHoldAlthoughTheirReleaseIsActive(t *testing.T) {
	f, _ := scripted(t)
	ws := f.wire("/ws", "websocket")
	f.streams(1)
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Holding })
	gone := make(chan string, 1)
	go func() {
		got, _ := io.ReadAll(ws)
		ws.Close()
		gone <- string(got)
	}()
	f.proxy.EndStreams(t.Context(), shop, "b1", 1500*time.Millisecond)
	eventually(t, "nothing is under way", func() bool { return f.generation("b1").InFlight == 0 })
	if got := <-gone; got != closed1001 {
		t.Errorf("the WebSocket ended with %q", got)
	}
	if g := f.generation("b1"); g.Draining || g.Counters.Cut != 0 {
		t.Errorf("status %+v", g)
	}
}

func TestAnIdleConnectionOfAClientOutlivesSwapsAndDrains(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("old"))), ship.Green: backend("g1", app(t, says("new")))})
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	slot, want := ship.Blue, map[ship.Slot]string{ship.Blue: "old", ship.Green: "new"}
	for range 4 {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != want[slot] || res.Close {
			t.Errorf("slot %s: answered %q, close %v", slot, body, res.Close)
		}
		f.shift(slot.Other())
		if _, err := f.proxy.Drain(t.Context(), shop, map[ship.Slot]string{ship.Blue: "b1", ship.Green: "g1"}[slot], proxy.Grace{}); err != nil {
			t.Fatal(err)
		}
		slot = slot.Other()
	}
}
