package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// silence is how long a stream may say nothing.
const silence = 10 * time.Second

// A crowd keeps streams open: a client whose stream was ended comes back.
type crowd struct {
	address string

	mu       sync.Mutex
	opened   int
	messages int
	farewell int // streams that ended between two messages, with a farewell
	cut      []string
}

// run keeps n streams of each kind open until ctx ends.
func (c *crowd) run(ctx context.Context, n int) {
	var wg sync.WaitGroup
	for range n {
		for _, listen := range []func(context.Context) (int, error){c.events, c.socket} {
			wg.Go(func() {
				for ctx.Err() == nil {
					heard, err := listen(ctx)
					c.note(ctx, heard, err)
					if err != nil {
						pause(ctx, 100*time.Millisecond)
					}
				}
			})
		}
	}
	wg.Wait()
}

func (c *crowd) note(ctx context.Context, heard int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	c.messages += heard
	switch {
	case ctx.Err() != nil: // we left
	case err == nil:
		c.farewell++
	default:
		c.cut = append(c.cut, fmt.Sprintf("%s: after %d messages: %v", time.Now().Format("15:04:05.000"), heard, err))
	}
}

// dial opens a connection that ends with ctx, and sends a request.
func (c *crowd) dial(ctx context.Context, head string) (net.Conn, *bufio.Reader, *http.Response, error) {
	conn, err := (&net.Dialer{Timeout: silence}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(silence))
	fmt.Fprintf(conn, "GET %s\r\nHost: shop.test\r\n\r\n", head)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		_ = conn.Close()
		return nil, nil, nil, err
	}
	return conn, r, res, nil
}

// events listens to an event stream. It returns nil when the answer ended as
// a whole one, after a whole event.
func (c *crowd) events(ctx context.Context) (heard int, err error) {
	conn, _, res, err := c.dial(ctx, "/events HTTP/1.1") //nolint:bodyclose // it ends with the connection
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("event stream: %s", res.Status)
	}
	body := bufio.NewReader(res.Body)
	lines := 0 // of the event that has begun
	for {
		_ = conn.SetDeadline(time.Now().Add(silence))
		line, err := body.ReadString('\n')
		if err == io.EOF && line == "" && lines == 0 {
			return heard, nil
		}
		if err != nil {
			return heard, fmt.Errorf("event stream: in line %d of an event, after %q: %w", lines+1, line, err)
		}
		if line != "\n" {
			if lines++; lines == 1 && line != fmt.Sprintf("id: %d\n", heard+1) {
				return heard, fmt.Errorf("event stream: %q follows event %d", line, heard)
			}
			continue
		}
		heard, lines = heard+1, 0
	}
}

// socket listens to a WebSocket. It returns nil when it was ended with a Close
// frame that says that the server goes away.
func (c *crowd) socket(ctx context.Context) (heard int, err error) {
	conn, r, res, err := c.dial(ctx, "/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") //nolint:bodyclose // it ends with the connection
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return 0, fmt.Errorf("WebSocket: %s", res.Status)
	}
	for {
		_ = conn.SetDeadline(time.Now().Add(silence))
		opcode, payload, err := readFrame(r)
		switch {
		case err != nil:
			return heard, fmt.Errorf("WebSocket: without a Close frame: %w", err)
		case opcode == opClose && len(payload) == 2 && payload[0] == 0x03 && payload[1] == 0xe9:
			_, err := conn.Write(frame(opClose, payload, true))
			return heard, err
		case opcode != opText || !strings.HasPrefix(string(payload), fmt.Sprintf("%d ", heard+1)):
			return heard, fmt.Errorf("WebSocket: after message %d came opcode %d, %.20q", heard, opcode, payload)
		}
		if heard++; heard%5 == 0 {
			if _, err := conn.Write(frame(opText, []byte("still here"), true)); err != nil {
				return heard, fmt.Errorf("WebSocket: %w", err)
			}
		}
	}
}
