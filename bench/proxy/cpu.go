package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc, which is this on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// usage is CPU time by whom it was used, since the machine or they started.
// A usage is CPU time since the machine or a process began: of all, and of
// each that takes part, by name.
type usage struct {
	all time.Duration
	by  map[string]time.Duration
}

func (c *chain) usage() (u usage, err error) {
	u.by = map[string]time.Duration{}
	if u.all, err = busy(); err != nil {
		return u, err
	}
	for _, s := range c.servers {
		if u.by[s.name], err = s.used(); err != nil {
			return u, err
		}
	}
	u.by[shiplock], err = used(c.worker.PID())
	return u, err
}

func (u usage) since(before usage) usage {
	d := usage{all: u.all - before.all, by: map[string]time.Duration{}}
	for name, t := range u.by {
		d.by[name] = t - before.by[name]
	}
	return d
}

// foreign returns the share of the machine that others had in a time in which
// wrk used so much.
func (u usage) foreign(wrk, took time.Duration) float64 {
	theirs := u.all - wrk
	for _, t := range u.by {
		theirs -= t
	}
	return float64(theirs) / float64(took) / float64(runtime.NumCPU())
}

// busy returns the time that the CPUs were not idle. The time that a hypervisor
// took from them and that of interrupts, ours too, are included: the share of
// others comes out too high rather than too low.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("read /proc/stat: %q", line)
	}
	return ticks(fields[1], fields[2], fields[3], fields[6], fields[7], fields[8]) // not idle, not iowait
}

// used returns the time of a process, all of its threads included.
func used(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; fields count from behind it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read /proc/%d/stat: %q", pid, text)
	}
	return ticks(fields[11], fields[12])
}

func ticks(fields ...string) (sum time.Duration, err error) {
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// used returns the time of an nginx and its workers.
func (s *server) used() (time.Duration, error) {
	pid := s.cmd.Process.Pid
	sum, err := used(pid)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		t, err := used(child)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}
