package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A report is everything that was measured, with one number for each round.
type report struct {
	CPUs        int    `json:"cpus"`
	System      string `json:"system"`
	Go          string `json:"go"`
	Rounds      int    `json:"rounds"`
	Connections int    `json:"connections"`
	Seconds     int    `json:"seconds"`

	Throughput  sample            `json:"throughput_ratio"` // requests a second, ours to nginx's
	P50         sample            `json:"p50_ratio"`        // of latency under that load
	P99         sample            `json:"p99_ratio"`
	AddedNginx  sample            `json:"added_nginx_us"` // at one connection: median latency less the backend's own
	AddedOurs   sample            `json:"added_shiplock_us"`
	AddedRatio  sample            `json:"added_ratio"`
	RequestsSec map[string]sample `json:"requests_per_second"` // by who answered; means nothing outside its round
}

// The names in RequestsSec.
const (
	byNginx    = "nginx"
	byShiplock = "shiplock"
)

// measure loads the proxies turn by turn. Who goes first changes every round.
func (c *chain) measure(ctx context.Context, o options, progress io.Writer) (report, error) {
	r := report{
		CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Rounds: o.rounds, Connections: o.connections, Seconds: int(o.length.Seconds()), RequestsSec: map[string]sample{},
	}
	for _, address := range []string{c.nginx, c.shiplock} { // not counted: connections and buffers are made
		if _, err := wrk(ctx, address, o.connections, time.Second); err != nil {
			return r, err
		}
	}
	for round := range o.rounds {
		loaded, err := c.turns(ctx, round, o.connections, o.length, c.nginx, c.shiplock)
		if err != nil {
			return r, err
		}
		alone, err := c.turns(ctx, round, 1, o.length, c.backend, c.nginx, c.shiplock)
		if err != nil {
			return r, err
		}
		r.add(loaded[c.nginx], loaded[c.shiplock])
		r.addAlone(alone[c.backend], alone[c.nginx], alone[c.shiplock])
		fmt.Fprintf(progress, "round %d of %d\n", round+1, o.rounds)
	}
	return r, nil
}

// turns loads each address once, in turning order.
func (c *chain) turns(ctx context.Context, round, connections int, length time.Duration, addresses ...string) (map[string]arrival, error) {
	order := slices.Clone(addresses)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	all := map[string]arrival{}
	for _, address := range order {
		a, err := wrk(ctx, address, connections, length)
		if err != nil {
			return nil, err
		}
		all[address] = a
	}
	return all, nil
}

func (r *report) add(nginx, ours arrival) {
	r.Throughput = append(r.Throughput, ours.rate/nginx.rate)
	r.P50 = append(r.P50, float64(ours.p50)/float64(nginx.p50))
	r.P99 = append(r.P99, float64(ours.p99)/float64(nginx.p99))
	r.RequestsSec[byNginx] = append(r.RequestsSec[byNginx], nginx.rate)
	r.RequestsSec[byShiplock] = append(r.RequestsSec[byShiplock], ours.rate)
}

func (r *report) addAlone(direct, nginx, ours arrival) {
	added := func(a arrival) float64 { return float64(a.p50-direct.p50) / float64(time.Microsecond) }
	r.AddedNginx = append(r.AddedNginx, added(nginx))
	r.AddedOurs = append(r.AddedOurs, added(ours))
	r.AddedRatio = append(r.AddedRatio, added(ours)/added(nginx))
}

// markdown writes the tables.
func (r report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds on %d cores, %s, %s; `wrk -t1 -c%d -d%ds`; median, least – greatest.\n\n", r.Rounds, r.CPUs, r.System, r.Go, r.Connections, r.Seconds)
	fmt.Fprintf(&b, "| shiplock to nginx, %d connections | median | spread |\n| --- | ---: | ---: |\n", r.Connections)
	row(&b, "requests a second", r.Throughput, "%.2f")
	row(&b, "latency, median", r.P50, "%.2f")
	row(&b, "latency, 99th percentile", r.P99, "%.2f")
	fmt.Fprint(&b, "\n| added to the median latency, 1 connection | median | spread |\n| --- | ---: | ---: |\n")
	row(&b, "nginx, µs", r.AddedNginx, "%.0f")
	row(&b, "shiplock, µs", r.AddedOurs, "%.0f")
	row(&b, "shiplock to nginx", r.AddedRatio, "%.2f")
	_, err := io.WriteString(w, b.String())
	return err
}

func row(b *strings.Builder, name string, s sample, format string) {
	fmt.Fprintf(b, "| %s | "+format+" | %s |\n", name, s.median(), s.spread(format))
}
