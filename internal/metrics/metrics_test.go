package metrics_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestMetricsAreShownOnTheLoopbackInterfaceOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:9464", "10.0.0.1:0", "example.com:9464", "localhost.example.com:0", "127.0.0.1", ""} {
		l, err := metrics.Listen(t.Context(), address)
		if err == nil {
			_ = l.Close()
		}
		if ship.KindOf(err) != ship.Invalid || ship.HintOf(err) == "" {
			t.Errorf("%q: %v of kind %q, hint %q", address, err, ship.KindOf(err), ship.HintOf(err))
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.8.8.8:0"} {
		l, err := metrics.Listen(t.Context(), address)
		if err != nil {
			t.Errorf("%q: %v", address, err)
			continue
		}
		_ = l.Close()
	}
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	l, err := metrics.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := metrics.Listen(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsReadIsShownUntilTheEnd(t *testing.T) {
	l, err := metrics.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var b metrics.Buckets
	b.Add(20*time.Millisecond, 3)
	b.Add(time.Hour, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read := func(context.Context) []metrics.Family {
		return []metrics.Family{
			{Name: "shiplock_things", Help: "Things.", Labels: []string{"kind"}, Points: []metrics.Point{{Of: []string{"a\"b"}, Value: math.Inf(1)}}},
			{Name: "shiplock_done_total", Help: "Done.", Kind: metrics.Counter, Points: []metrics.Point{{Value: 2}}},
			{Name: "shiplock_took_seconds", Help: "Took.", Kind: metrics.Histogram, Points: []metrics.Point{{Buckets: b}}},
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- metrics.Serve(ctx, l, metrics.Handler(read, slog.New(slog.DiscardHandler)))
	}()
	res, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`shiplock_things{kind="a\"b"} 1.797`, "shiplock_done_total 2", `shiplock_took_seconds_bucket{le="0.025"} 3`,
		`shiplock_took_seconds_bucket{le="60"} 3`, `shiplock_took_seconds_bucket{le="+Inf"} 4`, "shiplock_took_seconds_count 4",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%q is missing in\n%s", want, body)
		}
	}
	problems, err := promlint.New(strings.NewReader(string(body))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}
