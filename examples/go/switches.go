package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// switches make a version of the shop misbehave on purpose. The file VERSION
// holds the version in its first line and a switch in each further one:
//
//	health=never         /healthz always answers 503
//	prices=none          products are read without what they cost
//	crash_after=SECONDS  the process is killed so long after its start
//	errors=N             every Nth request is answered with 500
//	delay=MILLISECONDS   every answer takes so much longer
type switches struct {
	version    string
	neverWell  bool
	noPrices   bool
	crashAfter time.Duration
	errors     int64
	delay      time.Duration
}

func readSwitches(path string) (switches, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return switches{}, err
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	s := switches{version: strings.TrimSpace(first)}
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := s.set(line); err != nil {
			return s, fmt.Errorf("%s: %q: %w", path, line, err)
		}
	}
	return s, nil
}

func (s *switches) set(line string) error {
	switch line {
	case "health=never":
		s.neverWell = true
		return nil
	case "prices=none":
		s.noPrices = true
		return nil
	}
	name, value, _ := strings.Cut(line, "=")
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 1 {
		return fmt.Errorf("a switch is name=number, health=never or prices=none")
	}
	switch name {
	case "crash_after":
		s.crashAfter = time.Duration(n) * time.Second
	case "errors":
		s.errors = n
	case "delay":
		s.delay = time.Duration(n) * time.Millisecond
	default:
		return fmt.Errorf("there is no such switch")
	}
	return nil
}
