package node

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// proc is what /proc tells of a process. A pid alone names nothing, because
// it is used again; pid, start time and boot id together do.
type proc struct {
	pid, parent, session int
	start                uint64 // in clock ticks after boot
	dead                 bool   // only waits for its parent to look
}

func readProc(pid int) (proc, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return proc{}, err
	}
	// The name in parentheses may hold anything, even parentheses.
	_, rest, ok := strings.Cut(string(data[max(bytes.LastIndexByte(data, ')'), 0):]), " ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return proc{}, fmt.Errorf("read process %d: unexpected form", pid)
	}
	p := proc{pid: pid, dead: f[0] == "Z" || f[0] == "X"}
	if p.parent, err = strconv.Atoi(f[1]); err != nil {
		return proc{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	if p.session, err = strconv.Atoi(f[3]); err != nil {
		return proc{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	if p.start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return proc{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return p, nil
}

// bootID names this boot of the machine.
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// marked returns the living processes whose environment holds the variable
// name, by its value. A child inherits its parent's mark, so that everything
// that came of a command is found however it detached itself.
func marked(name string) map[string][]proc {
	found := map[string][]proc{}
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		value, ok := markOf(pid, name)
		if !ok {
			continue
		}
		if p, err := readProc(pid); err == nil && !p.dead {
			found[value] = append(found[value], p)
		}
	}
	return found
}

// children returns our own children, the dead among them too.
func children() []proc {
	var all []proc
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if p, err := readProc(pid); err == nil && p.parent == os.Getpid() {
			all = append(all, p)
		}
	}
	return all
}

func markOf(pid int, name string) (string, bool) {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "", false
	}
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if k, v, ok := strings.Cut(string(kv), "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// outOfMemory counts the processes that the kernel has killed for want of
// memory in the control group we and our children are in; -1 is not known.
func outOfMemory() int64 {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(data)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		events, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.events")
		if err != nil {
			return -1
		}
		for event := range strings.Lines(string(events)) {
			if count, ok := strings.CutPrefix(strings.TrimSpace(event), "oom_kill "); ok {
				n, err := strconv.ParseInt(count, 10, 64)
				if err != nil {
					return -1
				}
				return n
			}
		}
	}
	return -1
}
