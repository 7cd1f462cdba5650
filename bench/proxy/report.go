package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
)

// A report is everything that was measured, with one number for each round.
type report struct {
	CPUs        int     `json:"cpus"`
	System      string  `json:"system"`
	Go          string  `json:"go"`
	Rounds      int     `json:"rounds"`  // that count
	Dropped     int     `json:"dropped"` // because of others
	Connections int     `json:"connections"`
	Seconds     int     `json:"seconds"`
	Most        float64 `json:"most_foreign"` // share of the machine that others may have

	Throughput  sample            `json:"throughput_ratio"` // requests a second, ours to nginx's
	CPU         sample            `json:"cpu_ratio"`        // CPU time of the proxy for each request
	P50         sample            `json:"p50_ratio"`        // of latency under that load
	P99         sample            `json:"p99_ratio"`
	Foreign     sample            `json:"foreign"`        // share of the machine that others had
	AddedNginx  sample            `json:"added_nginx_us"` // at one connection: median latency less the backend's own
	AddedOurs   sample            `json:"added_shiplock_us"`
	RequestsSec map[string]sample `json:"requests_per_second"` // by who answered; means nothing outside its round
}

// The names in RequestsSec.
const (
	byNginx    = "nginx"
	byShiplock = "shiplock"
)

func newReport(o options) report {
	return report{
		CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Connections: o.connections, Seconds: int(o.length.Seconds()), Most: o.foreign, RequestsSec: map[string]sample{},
	}
}

// markdown writes the tables.
func (r report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds on %d cores, %s, %s; `wrk -t1 -c%d -d%ds`. %d more rounds were dropped because others had over %.0f %% of the machine.\n\n",
		r.Rounds, r.CPUs, r.System, r.Go, r.Connections, r.Seconds, r.Dropped, r.Most*100)
	fmt.Fprintf(&b, "| shiplock to nginx, %d connections | median | middle half | least – greatest |\n| --- | ---: | ---: | ---: |\n", r.Connections)
	row(&b, "requests a second", r.Throughput, "%.2f")
	row(&b, "CPU time of the proxy for each request", r.CPU, "%.2f")
	row(&b, "latency, median", r.P50, "%.2f")
	row(&b, "latency, 99th percentile", r.P99, "%.2f")
	row(&b, "share of the machine that others had", r.Foreign, "%.2f")
	fmt.Fprint(&b, "\n| added to the median latency, 1 connection | median | middle half | least – greatest |\n| --- | ---: | ---: | ---: |\n")
	row(&b, "nginx, µs", r.AddedNginx, "%.0f")
	row(&b, "shiplock, µs", r.AddedOurs, "%.0f")
	_, err := io.WriteString(w, b.String())
	return err
}

func row(b *strings.Builder, name string, s sample, format string) {
	fmt.Fprintf(b, "| %s | "+format+" | %s | %s |\n", name, s.median(), s.middle(format), s.spread(format))
}
