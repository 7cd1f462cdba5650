package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
)

// A report is everything that was measured: of each proxy, a number for each
// round. Ratios are formed within a round.
type report struct {
	measure.Machine
	Rounds      int            `json:"rounds"`  // that count
	Dropped     int            `json:"dropped"` // because of others
	Connections int            `json:"connections"`
	Seconds     int            `json:"seconds"`
	Most        float64        `json:"most_foreign"` // share of the machine that others may have
	Foreign     measure.Sample `json:"foreign"`      // share of the machine that others had
	Proxies     []*measured    `json:"proxies"`      // nginx first, ours last
}

// A measured proxy, all but Requests and Added as ratios to nginx.
type measured struct {
	Name       string         `json:"name"`
	Throughput measure.Sample `json:"throughput_ratio"` // requests a second
	CPU        measure.Sample `json:"cpu_ratio"`        // CPU time of the proxy for each request
	P50        measure.Sample `json:"p50_ratio"`        // of latency under that load
	P99        measure.Sample `json:"p99_ratio"`
	Added      measure.Sample `json:"added_us"`            // at one connection: median latency less the backend's own
	Requests   measure.Sample `json:"requests_per_second"` // means nothing outside its round
}

func newReport(o options, names []string) *report {
	r := &report{
		Machine:     measure.ThisMachine(),
		Connections: o.connections, Seconds: int(o.length.Seconds()), Most: o.foreign,
	}
	for _, name := range names {
		r.Proxies = append(r.Proxies, &measured{Name: name})
	}
	return r
}

// add enters a round: what came under load, and with one connection.
func (r *report) add(loaded, alone map[string]arrival) {
	r.Rounds++
	reference := loaded[nginx]
	each := func(name string) float64 { return float64(loaded[name].cpu.by[name]) / float64(loaded[name].requests) }
	worst := 0.0
	for _, m := range r.Proxies {
		a := loaded[m.Name]
		m.Throughput = append(m.Throughput, a.rate/reference.rate)
		m.P50 = append(m.P50, float64(a.p50)/float64(reference.p50))
		m.P99 = append(m.P99, float64(a.p99)/float64(reference.p99))
		m.CPU = append(m.CPU, each(m.Name)/each(nginx))
		m.Added = append(m.Added, float64(alone[m.Name].p50-alone[backendName].p50)/float64(time.Microsecond))
		m.Requests = append(m.Requests, a.rate)
		worst = max(worst, a.foreign)
	}
	r.Foreign = append(r.Foreign, worst)
}

// Markdown writes a table of ratios and one of what is added to the latency.
func (r *report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds, `wrk -t1 -c%d -d%ds`. %d more rounds were dropped because others had over %.0f %% of the machine; in those that count they had %s.\n",
		r.Rounds, r.Connections, r.Seconds, r.Dropped, r.Most*100, r.Foreign.Spread("%.2f"))
	for _, table := range []struct {
		what, format string
		of           func(*measured) measure.Sample
	}{
		{"requests a second, to nginx", "%.2f", func(m *measured) measure.Sample { return m.Throughput }},
		{"CPU time of the proxy for each request, to nginx", "%.2f", func(m *measured) measure.Sample { return m.CPU }},
		{"latency, median, to nginx", "%.2f", func(m *measured) measure.Sample { return m.P50 }},
		{"latency, 99th percentile, to nginx", "%.2f", func(m *measured) measure.Sample { return m.P99 }},
		{"added to the median latency with 1 connection, µs", "%.0f", func(m *measured) measure.Sample { return m.Added }},
	} {
		b.WriteString("\n")
		measure.Head(&b, table.what)
		for _, m := range r.Proxies {
			measure.Row(&b, m.Name, table.of(m), table.format)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.order())
	_, err := io.WriteString(w, b.String())
	return err
}

// order says who forwarded how many rounds more than whom: a comparison that
// a median of ratios to a third does not give.
func (r *report) order() string {
	ours := r.Proxies[len(r.Proxies)-1]
	var said []string
	for _, m := range r.Proxies[:len(r.Proxies)-1] {
		ahead := 0
		for i := range ours.Requests {
			if ours.Requests[i] > m.Requests[i] {
				ahead++
			}
		}
		said = append(said, fmt.Sprintf("of %s in %d of %d", m.Name, ahead, len(ours.Requests)))
	}
	return "Rounds in which shiplock was ahead: " + strings.Join(said, ", ") + "."
}
