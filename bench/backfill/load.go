package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// load is what the writers met, in milliseconds.
type load struct {
	Writes  int     `json:"writes"`
	Rate    float64 `json:"rate"` // done a second
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Longest float64 `json:"longest"`
}

// during has the writers write while f lasts. Each has its times to write at:
// one that is kept waiting makes up for it, and what it was late counts.
func during(ctx context.Context, o options, url string, f func() error) (load, error) {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	late := make([][]time.Duration, o.writers)
	begun := time.Now()
	for i := range o.writers {
		g.Go(func() (err error) {
			late[i], err = write(ctx, writing, o, url, begun, i)
			return err
		})
	}
	failure := f()
	took := time.Since(begun)
	stop()
	if err := g.Wait(); err != nil {
		return load{}, err
	}
	all := slices.Concat(late...)
	slices.Sort(all)
	l := load{Writes: len(all), Rate: float64(len(all)) / took.Seconds()}
	if len(all) > 0 {
		at := func(share float64) float64 { return all[int(share*float64(len(all)-1))].Seconds() * 1000 }
		l.P50, l.P99, l.Longest = at(0.5), at(0.99), at(1)
	}
	return l, failure
}

// write changes a row at each of its times until writing ends. A write that is
// under way then is waited for, since how late it is is what is measured.
func write(ctx, writing context.Context, o options, url string, begun time.Time, number int) (late []time.Duration, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	random := rand.New(rand.NewPCG(1, uint64(number)))
	each := time.Second * time.Duration(o.writers) / time.Duration(o.rate)
	for due := begun.Add(each * time.Duration(number) / time.Duration(o.writers)); ; due = due.Add(each) {
		if wait(writing, time.Until(due)) != nil {
			return late, nil
		}
		if _, err := conn.Exec(ctx, "UPDATE orders SET price = price + 1 WHERE id = $1", 1+random.IntN(o.rows)); err != nil {
			return late, err
		}
		late = append(late, time.Since(due))
	}
}
