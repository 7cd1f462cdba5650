package process_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

func get(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), err
}

// load makes requests, each on a connection of its own when fresh, until the
// returned function is called, which says how many there were and what went
// wrong first.
func load(t *testing.T, url string, fresh bool) func() (int64, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh}}
	var wg sync.WaitGroup
	var count atomic.Int64
	var first atomic.Pointer[error]
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := one(ctx, client, url); err != nil && ctx.Err() == nil {
					first.CompareAndSwap(nil, &err)
				}
				count.Add(1)
			}
		})
	}
	end := sync.OnceFunc(func() { cancel(); wg.Wait(); client.CloseIdleConnections() })
	t.Cleanup(end)
	return func() (int64, error) {
		end()
		if p := first.Load(); p != nil {
			return count.Load(), *p
		}
		return count.Load(), nil
	}
}

func one(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
