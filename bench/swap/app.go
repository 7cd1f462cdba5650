package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	idleTimeout = time.Second // the application closes idle connections early
	sayEvery    = 50 * time.Millisecond
	maxOrder    = 1 << 20
)

// padding makes answers longer than one packet.
func padding() string { return strings.Repeat("0123456789abcdef", 128) }

// An app is the application: it writes each order it gets as a line into a
// file of its own.
type app struct {
	mu     sync.Mutex
	orders *os.File
	pad    string
}

// serve is the life of one instance: it ends with SIGTERM, after the requests
// under way.
func serve(ctx context.Context, args []string, _, _ io.Writer) error {
	orders, err := os.CreateTemp(args[1], "orders-")
	if err != nil {
		return err
	}
	defer orders.Close()
	a := &app{orders: orders, pad: padding()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /page", a.page)
	mux.HandleFunc("POST /order", a.order)
	mux.HandleFunc("GET /events", a.events)
	mux.HandleFunc("GET /ws", a.socket)
	s := &http.Server{Handler: mux, IdleTimeout: idleTimeout, ReadHeaderTimeout: 10 * time.Second}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port(os.Environ())))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(s.Shutdown(stopping), <-done); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func port(environ []string) string {
	for _, v := range environ {
		if p, ok := strings.CutPrefix(v, "PORT="); ok {
			return p
		}
	}
	return "0"
}

// page answers after the wanted time, in one piece or in several.
func (a *app) page(w http.ResponseWriter, r *http.Request) {
	wait, _ := strconv.Atoi(r.FormValue("ms"))
	pieces := 1
	if r.FormValue("pieces") != "" {
		pieces = 4
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.pad)))
	}
	for i := range pieces {
		if !pause(r.Context(), time.Duration(wait/pieces)*time.Millisecond) {
			return
		}
		_, _ = io.WriteString(w, a.pad[i*len(a.pad)/pieces:(i+1)*len(a.pad)/pieces])
		_ = http.NewResponseController(w).Flush()
	}
}

// order reads the whole order and writes its number down.
func (a *app) order(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Idempotency-Key")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil || !strings.HasPrefix(string(body), id) || id == "" {
		http.Error(w, "half an order", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	_, err = fmt.Fprintln(a.orders, id)
	a.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "taken %s", id)
}

func (a *app) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 1; ; n++ {
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", n, a.pad[:200])
		if http.NewResponseController(w).Flush() != nil || !pause(r.Context(), sayEvery) {
			return
		}
	}
}

// socket says numbers, until the client says that it goes.
func (a *app) socket(w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	ctx, gone := context.WithCancel(context.Background())
	defer gone()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.Close()
	wg.Go(func() {
		defer gone()
		for {
			if opcode, _, err := readFrame(rw.Reader); err != nil || opcode == opClose {
				return
			}
		}
	})
	for n := 1; ; n++ {
		if _, err := c.Write(frame(opText, []byte(strconv.Itoa(n)+" "+a.pad[:200]), false)); err != nil {
			return
		}
		if !pause(ctx, sayEvery) {
			_, _ = c.Write(frame(opClose, []byte{3, 0xe8}, false))
			return
		}
	}
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// pause waits; it tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// The opcodes of the frames that are used here.
const (
	opText  = 1
	opClose = 8
)

// frame makes a frame with a payload below 64 KiB.
func frame(opcode byte, payload []byte, masked bool) []byte {
	f := []byte{0x80 | opcode, byte(len(payload))}
	if len(payload) > 125 {
		f = []byte{0x80 | opcode, 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	if !masked {
		return append(f, payload...)
	}
	f[1] |= 0x80
	f = append(f, 1, 2, 3, 4)
	for i, b := range payload {
		f = append(f, b^byte(i%4+1))
	}
	return f
}

// readFrame reads a frame with a payload below 64 KiB, and takes off its mask.
func readFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return 0, nil, inFrame(err)
		}
		n = int(long[0])<<8 | int(long[1])
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return 0, nil, inFrame(err)
		}
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, inFrame(err)
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, payload, nil
}

func inFrame(err error) error { return fmt.Errorf("in the middle of a frame: %w", err) }
