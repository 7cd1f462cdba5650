package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	atOnce = 100 // connections that are made or spoken on at a time
	within = time.Minute
)

// A client is one connection to the worker.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

type clients []client

func connect(ctx context.Context, address string, n int) (clients, error) {
	all := make(clients, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range all {
		g.Go(func() error {
			conn, err := (&net.Dialer{Timeout: within}).DialContext(ctx, "tcp", address)
			if err == nil {
				all[i] = client{conn, bufio.NewReaderSize(conn, 512)}
			}
			return err
		})
	}
	return all, g.Wait()
}

func (all clients) close() {
	for _, c := range all {
		if c.conn != nil {
			_ = c.conn.Close()
		}
	}
}

func (all clients) each(ctx context.Context, f func(client) error) error {
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range all {
		g.Go(func() error {
			return errors.Join(c.conn.SetDeadline(time.Now().Add(within)), f(c), c.conn.SetDeadline(time.Time{}))
		})
	}
	return g.Wait()
}

func (c client) ask(path string) error {
	_, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: bench.test\r\n\r\n", path)
	return err
}

func (c client) askToWait() error { return c.ask("/wait") }

func (c client) roundTrip() error { return errors.Join(c.ask("/"), c.read()) }

func (c client) read() error {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}
