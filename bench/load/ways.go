package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/load"
	"github.com/shiplock/shiplock/internal/plugin"
)

// percentiles are what one load measured, in milliseconds. wrk has no p95.
type percentiles struct {
	P50, P95, P99 float64
	Rate          float64 // requests a second
}

func (p percentiles) String() string {
	return fmt.Sprintf("p50 %.2f, p95 %.2f, p99 %.2f ms at %.1f/s", p.P50, p.P95, p.P99, p.Rate)
}

func gateAtRate(ctx context.Context, url string, o options) (percentiles, error) {
	return ask(ctx, url, load.Config{Rate: float64(o.rate), For: gate.Duration(o.length)})
}

func gateOfUsers(ctx context.Context, url string, o options) (percentiles, error) {
	return ask(ctx, url, load.Config{Users: o.users, SpawnRate: 10_000, For: gate.Duration(o.length)})
}

// ask has the gate judge the server, and reads its report.
func ask(ctx context.Context, url string, cfg load.Config) (p percentiles, err error) {
	g, err := load.New(cfg, plugin.Deps{})
	if err != nil {
		return p, err
	}
	v, err := g.Judge(ctx, gate.Candidate{Name: "load", Targets: []string{url}})
	if err != nil {
		return p, err
	}
	if len(v.Report.Items) > 0 {
		return p, fmt.Errorf("not every request was answered: %s", v.Reason)
	}
	for _, f := range v.Report.Figures {
		switch f.Name {
		case "p50":
			p.P50 = f.Value
		case "p95":
			p.P95 = f.Value
		case "p99":
			p.P99 = f.Value
		case "rate":
			p.Rate = f.Value
		}
	}
	return p, nil
}

// heyWorkers is how many workers share the rate. Each sends at its own.
const heyWorkers = 50

func hey(ctx context.Context, url string, o options) (percentiles, error) {
	text, err := output(ctx, "hey", "-z", o.length.String(), "-c", strconv.Itoa(heyWorkers), "-q", strconv.Itoa(o.rate/heyWorkers), url+"/")
	if err != nil {
		return percentiles{}, err
	}
	return readHey(text)
}

// readHey reads what hey writes: seconds, "50% in 0.0123 secs".
func readHey(text string) (p percentiles, err error) {
	if !strings.Contains(text, "[200]") || strings.Contains(text, "Error distribution") || strings.Count(text, "responses") != 1 {
		return p, fmt.Errorf("not every request was answered: %s", text)
	}
	for pattern, to := range map[string]*float64{`50%+ in (\S+) secs`: &p.P50, `95%+ in (\S+) secs`: &p.P95, `99%+ in (\S+) secs`: &p.P99} {
		if *to, err = number(text, pattern); err != nil {
			return p, err
		}
		*to *= 1000
	}
	p.Rate, err = number(text, `Requests/sec:\s+(\S+)`)
	return p, err
}

func wrk(ctx context.Context, url string, o options) (percentiles, error) {
	text, err := output(ctx, "wrk", "-t1", "-c"+strconv.Itoa(o.users), fmt.Sprintf("-d%ds", int(o.length.Seconds())), "--latency", url+"/")
	if err != nil {
		return percentiles{}, err
	}
	return readWrk(text)
}

// readWrk reads what wrk writes: "50%   12.30ms".
func readWrk(text string) (p percentiles, err error) {
	if strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") {
		return p, fmt.Errorf("not every request was answered: %s", text)
	}
	for share, to := range map[string]*float64{"50": &p.P50, "99": &p.P99} {
		m := regexp.MustCompile(`\s` + share + `%\s+(\S+)`).FindStringSubmatch(text)
		if m == nil {
			return p, fmt.Errorf("read what wrk says: %s", text)
		}
		d, err := time.ParseDuration(m[1]) // which knows "us" too
		if err != nil {
			return p, fmt.Errorf("read what wrk says: %w", err)
		}
		*to = float64(d) / float64(time.Millisecond)
	}
	p.Rate, err = number(text, `Requests/sec:\s+(\S+)`)
	return p, err
}

func number(text, pattern string) (float64, error) {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no %s in %s", pattern, text)
	}
	return strconv.ParseFloat(m[1], 64)
}

// output runs a program of a Debian package of its name.
func output(ctx context.Context, name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s (Debian: %s): %w: %s", name, name, err, out.String())
	}
	return out.String(), nil
}
