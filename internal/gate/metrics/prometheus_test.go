package metrics_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/metrics"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// realPrometheus starts one that asks a shop for its metrics every second.
func realPrometheus(t *testing.T) string {
	t.Helper()
	program := testneed.Command(t, "prometheus", "prometheus")
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "shop_requests 1000\nshop_errors{code=\"500\"} 3\nshop_errors{code=\"502\"} 40\n")
	}))
	t.Cleanup(shop.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // it is free for the moment
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(shop.URL, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("prometheus: %v: %s", err, said.String())
		}
	})
	return "http://" + address
}

func TestTheRealPrometheusIsAskedAsTheMockIs(t *testing.T) {
	url := realPrometheus(t)
	judge := func(query, sign string, number float64) (ship.Verdict, error) {
		return open(t, metrics.Config{URL: url, Query: query, Is: metrics.Comparison{Sign: sign, Number: number}}).Judge(t.Context(), gatetest.Candidate(t))
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		v, err := judge("shop_requests", "==", 1000)
		if err == nil && v.Outcome == ship.Pass {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it has no value: %+v, %v", v, err)
		}
	}
	for _, tt := range []struct {
		query, sign string
		number      float64
		want        ship.Outcome
		says        string
	}{
		{`up{job="shop"}`, "==", 1, ship.Pass, `job="shop"`},
		{`shop_errors / on() group_left shop_requests`, "<", 0.01, ship.Fail, `code="502"`},
		{`shop_errors{code="500"} / on() shop_requests`, "<", 0.01, ship.Pass, "is 0.003, and must be < 0.01"},
		{"scalar(shop_requests)", ">=", 1000, ship.Pass, "is 1000"},
		{"shop_orders", "<", 1, ship.NoConclusion, "has no value"},
		{"shop_requests * 0 / 0", "<", 1, ship.NoConclusion, "is not a number"},
	} {
		v, err := judge(tt.query, tt.sign, tt.number)
		if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
			t.Errorf("%s: %+v, %v; want %s with %s", tt.query, v, err, tt.want, tt.says)
		}
	}
	for query, says := range map[string]string{"rate(": "parse error", "shop_requests[1m]": `type "matrix"`, `"text"`: `type "string"`} {
		if v, err := judge(query, "<", 1); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v; want %s", query, v, err, says)
		}
	}
}
