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
)

// An arrival is what one run of wrk measured.
type arrival struct {
	rate     float64       // requests a second
	p50, p99 time.Duration // of latency
	requests int64
	wrk      time.Duration // CPU time of wrk itself

	cpu     usage
	foreign float64 // share of the machine that others had meanwhile
}

// wrk loads an address with one thread. An answer that is not the backend's is
// an error: a proxy that refuses is a fast one.
func wrk(ctx context.Context, address string, connections int, length time.Duration) (arrival, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "wrk", "-t1", "-c"+strconv.Itoa(connections),
		fmt.Sprintf("-d%ds", int(length.Seconds())), "--latency", "http://"+address+"/")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return arrival{}, fmt.Errorf("wrk (Debian: wrk): %w: %s", err, out.String())
	}
	a, err := readWrk(out.String())
	a.wrk = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return a, err
}

func readWrk(text string) (a arrival, err error) {
	if strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") {
		return a, fmt.Errorf("not every request was answered: %s", text)
	}
	find := func(pattern string) string {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return ""
	}
	if a.rate, err = strconv.ParseFloat(find(`Requests/sec:\s+(\S+)`), 64); err != nil {
		return a, fmt.Errorf("read what wrk says: %w: %s", err, text)
	}
	if a.requests, err = strconv.ParseInt(find(`(\d+) requests in`), 10, 64); err != nil {
		return a, fmt.Errorf("read what wrk says: %w: %s", err, text)
	}
	for share, to := range map[string]*time.Duration{"50": &a.p50, "99": &a.p99} {
		// wrk writes microseconds as "us", which ParseDuration knows too.
		if *to, err = time.ParseDuration(find(`\s` + share + `%\s+(\S+)`)); err != nil {
			return a, fmt.Errorf("read what wrk says: %w: %s", err, text)
		}
	}
	return a, nil
}
