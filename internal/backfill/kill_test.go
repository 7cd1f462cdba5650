package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A process that is killed in the middle neither loses nor repeats a row, with
// an application writing all the time.
func TestKilledInTheMiddleNothingIsLostOrRepeated(t *testing.T) {
	if url := os.Getenv("BACKFILL_TEST_URL"); url != "" {
		child(t, sqltext.Dialect(os.Getenv("BACKFILL_TEST_DIALECT")), url)
		return
	}
	onEach(t, func(p place) {
		p.fill(3000)
		stop, written := p.write()
		for kill := range 4 {
			cmd := exec.CommandContext(p.t.Context(), os.Args[0], "-test.run=^TestKilledInTheMiddleNothingIsLostOrRepeated$")
			cmd.Env = append(os.Environ(), "BACKFILL_TEST_URL="+p.url, "BACKFILL_TEST_DIALECT="+string(p.dialect), fmt.Sprintf("BACKFILL_TEST_EPOCH=%d", kill+1))
			out, err := cmd.StdoutPipe()
			if err != nil {
				p.t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				p.t.Fatal(err)
			}
			buf := make([]byte, 5+kill) // it writes a byte before each batch
			if _, err := io.ReadFull(out, buf); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				p.t.Fatal(err)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if n := p.number("SELECT count(*) FROM orders WHERE n > 0"); n == 0 || n > 2999 {
			p.t.Fatalf("%d rows were done before the last kill: nothing was shown", n)
		}
		if out := p.run(p.file(adding), p.deps(9)); out.Status != database.FillDone {
			p.t.Errorf("the outcome is %+v", out)
		}
		stop()
		if n := p.number("SELECT count(*) FROM orders WHERE n <> 1 AND id < 1000000"); n != 0 {
			p.t.Errorf("%d rows were not done once", n)
		}
		if n := p.number("SELECT count(*) FROM orders WHERE n > 1"); n != 0 || written() == 0 {
			p.t.Errorf("%d rows were done twice; %d were written meanwhile", n, written())
		}
	})
}

func child(t *testing.T, d sqltext.Dialect, url string) {
	var epoch int64
	if _, err := fmt.Sscan(os.Getenv("BACKFILL_TEST_EPOCH"), &epoch); err != nil {
		t.Fatal(err)
	}
	dp, err := deps(t.Context(), d, url, epoch)
	if err != nil {
		t.Fatal(err)
	}
	f, err := backfill.Parse("backfills/1.sql", adding, d)
	if err != nil {
		t.Fatal(err)
	}
	dp.Fixed = 20
	dp.Stop = func(context.Context) (string, string, error) {
		_, err := os.Stdout.Write([]byte{'.'})
		return "", "", err
	}
	_, _ = backfill.Run(t.Context(), f, dp)
}

// write has an application add rows behind the last until stop is called.
func (p place) write() (stop func(), written func() int) {
	done, ended := make(chan struct{}), make(chan struct{})
	n := 0
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if _, err := p.app.ExecContext(context.Background(), fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", 1_000_000+n)); err != nil {
				p.t.Errorf("the application could not write: %v", err)
				return
			}
			n++
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended }), func() int { return n }
}
