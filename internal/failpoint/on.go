//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Suffix of the folder beside the program's file in which a test says what is
// to go wrong, by one file for each place. It holds an action, and is renamed to
// *.hit when that begins; with "always" it stays.
//
//	kill      the process ends as by kill -9
//	pause     until a file *.go appears
//	ENOSPC    the error of a full disk
//	EIO       the error of a disk that failed
//
// The file "clock" holds by how much the clock is wrong.
const Suffix = ".failpoints"

// longest bounds a pause that nobody ends.
const longest = 5 * time.Minute

// Hit is called where something may go wrong. An error is what the system
// call at that place would have said.
func Hit(name string) error {
	path, ok := file(name)
	if !ok {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	action, more, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if more == "always" {
		_ = os.WriteFile(path+".hit", nil, 0o600)
	} else if os.Rename(path, path+".hit") != nil {
		return nil // another process was first
	}
	return act(action, path)
}

func file(name string) (string, bool) {
	self, err := os.Executable()
	return filepath.Join(self+Suffix, name), err == nil
}

func act(action, path string) error {
	switch action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		<-time.After(longest)
	case "pause":
		for begun := time.Now(); time.Since(begun) < longest; <-time.After(5 * time.Millisecond) {
			if _, err := os.Stat(path + ".go"); err == nil {
				return nil
			}
		}
	case "ENOSPC":
		return &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
	case "EIO":
		return &os.PathError{Op: "fsync", Path: path, Err: syscall.EIO}
	}
	return errors.New(fmt.Sprint("failpoint: no such action: ", action))
}

// Now is the time by a clock that may jump: the one to ask for times that are
// written down and compared after a restart. A clock that jumped is compared by
// the wall alone, as every time is that was read from a file.
func Now() time.Time {
	now := time.Now()
	path, ok := file("clock")
	if !ok {
		return now
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return now
	}
	by, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return now
	}
	return now.Add(by).Round(0)
}
