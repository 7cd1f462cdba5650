package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listening is the state of a socket in /proc/net/tcp that accepts connections.
const listening = "0A"

// holdsPort tells whether a process has a socket that listens at a TCP port.
// What cannot be read, such as another user's process, does not.
func holdsPort(pid int, port string) bool {
	number, err := strconv.Atoi(port)
	if err != nil || pid <= 0 {
		return false
	}
	inodes := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		listeners(filepath.Join("/proc", strconv.Itoa(pid), "net", table), fmt.Sprintf("%04X", number), inodes)
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, f := range files {
		to, err := os.Readlink(filepath.Join(dir, f.Name()))
		if err == nil && inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] {
			return true
		}
	}
	return false
}

// listeners adds the inodes of the sockets that listen at a port.
func listeners(table, port string, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) > 9 && words[3] == listening && strings.HasSuffix(words[1], ":"+port) {
			inodes[words[9]] = true
		}
	}
}
