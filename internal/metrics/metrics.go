// Package metrics shows measurements in the text form that Prometheus reads.
// It knows the form, and how names and labels go together; it refuses to know
// what is measured: whoever measures hands it plain numbers when it is asked.
package metrics

import (
	"context"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shiplock/shiplock/internal/ship"
)

// Kind says how the numbers of a family are to be read.
type Kind int

// The kinds of families.
const (
	Gauge     Kind = iota // goes up and down
	Counter               // only grows, or begins anew at zero
	Histogram             // durations, counted in buckets
)

// A Family is one measurement, with a point for each of its label values.
type Family struct {
	Name   string // shiplock_…, with the unit at its end
	Help   string
	Kind   Kind
	Labels []string
	Points []Point
}

// A Point is a number and what it is of.
type Point struct {
	Of      []string // values of the family's labels
	Value   float64
	Buckets Buckets // of a histogram
}

// Buckets are durations, counted by their upper bounds.
type Buckets struct {
	Count  uint64
	Sum    float64            // seconds
	Within map[float64]uint64 // by upper bound in seconds, each with all below it
}

// Bounds are the upper bounds of the buckets durations are shown in, in
// seconds.
func Bounds() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
}

// Add counts n durations that took d each.
func (b *Buckets) Add(d time.Duration, n uint64) {
	if b.Within == nil {
		b.Within = map[float64]uint64{}
		for _, bound := range Bounds() {
			b.Within[bound] = 0
		}
	}
	b.Count += n
	b.Sum += d.Seconds() * float64(n)
	for bound := range b.Within {
		if d.Seconds() <= bound {
			b.Within[bound] += n
		}
	}
}

// Read measures. It is called for every answer.
type Read func(context.Context) []Family

// collector hands families to the library.
type collector []Family

// Describe says nothing: which families there are is known when they are read.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements the library's Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, f := range c {
		desc := prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
		for _, p := range f.Points {
			out <- metric(desc, f.Kind, p)
		}
	}
}

func metric(desc *prometheus.Desc, kind Kind, p Point) prometheus.Metric {
	var m prometheus.Metric
	var err error
	switch kind {
	case Histogram:
		m, err = prometheus.NewConstHistogram(desc, p.Buckets.Count, p.Buckets.Sum, p.Buckets.Within, p.Of...)
	case Counter:
		m, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, p.Value, p.Of...)
	case Gauge:
		value := p.Value
		if math.IsInf(value, 0) {
			value = math.Copysign(math.MaxFloat64, value)
		}
		m, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, p.Of...)
	}
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

// Gatherer returns what can be asked for the families.
func Gatherer(families []Family) (prometheus.Gatherer, error) {
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(collector(families)); err != nil {
		return nil, err
	}
	return r, nil
}

// Handler answers with what read says.
func Handler(read Read, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := Gatherer(read(r.Context()))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}).ServeHTTP(w, r)
	})
}

// Allowed refuses an address that is not one of the loopback interface: what
// is measured is nobody else's business, and there is no password.
func Allowed(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ship.Errorf(ship.Invalid, "--metrics 127.0.0.1:9464", "address of the metrics: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return ship.Errorf(ship.Invalid, "--metrics 127.0.0.1:9464", "metrics are shown on the loopback interface only, not at %s", address)
	}
	return nil
}

// Listen opens the address metrics are read at, if it is [Allowed].
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if err := Allowed(address); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "choose another address for --metrics", "address of the metrics: %w", err)
	}
	return l, nil
}

// Serve answers at l until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
