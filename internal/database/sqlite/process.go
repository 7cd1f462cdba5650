package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// A process is named so that neither a number given anew nor a restart of the
// machine makes another process look like it. Where there is no /proc only the
// number is known.
type process struct {
	pid   int
	start string // in ticks since boot
	boot  string // of the machine's run
}

func self() process {
	pid := os.Getpid()
	return process{pid: pid, start: startOf(pid), boot: bootID()}
}

// alive tells whether p still runs on this machine.
func (p process) alive() bool {
	if p.pid <= 0 || p.boot != bootID() {
		return false
	}
	if p.start != "" {
		return startOf(p.pid) == p.start
	}
	err := syscall.Kill(p.pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// startOf returns when a process was started, "" when it does not run any more.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name in parentheses may hold spaces and parentheses of its own.
	end := strings.LastIndexByte(string(stat), ')')
	fields := strings.Fields(string(stat[end+1:]))
	const state, start = 0, 19
	if len(fields) <= start || fields[state] == "Z" || fields[state] == "X" {
		return ""
	}
	return fields[start]
}
