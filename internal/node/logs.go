package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Bounds of what an instance's output takes on the disk: the file it writes to
// and the part that was moved away from its beginning, which is kept once.
const (
	maxLog = 16 << 20
	block  = 1 << 20 // is cut at once; a multiple of every file system's block
)

// A logFile is the output of an instance. The instance holds the file itself,
// not a pipe, so that it can write when the node is gone; it appends, so that
// the beginning can be taken away under it.
//
// When it grows too long its beginning is copied to a second file and cut off.
// To rename the file would not help, since the instance would go on writing to
// the renamed one until it is restarted. File systems that can cut a file's
// beginning off (ext4, XFS) lose nothing; elsewhere the file is emptied, and
// what is written in the instant between is lost.
type logFile struct {
	path string

	mu  sync.Mutex
	cut int64 // bytes that were cut off since the node started
}

// logFile returns the log of an instance. The environment's mu must be held.
func (e *environment) logFile(instance string) *logFile {
	if e.logs[instance] == nil {
		e.logs[instance] = &logFile{path: filepath.Join(e.logDir(), instance+".log")}
	}
	return e.logs[instance]
}

// open opens the file for an instance to write to.
func (l *logFile) open() (*os.File, error) {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// older is where the cut off beginning is.
func (l *logFile) older() string { return l.path + ".1" }

// limit keeps the file within its bound.
func (l *logFile) limit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("limit log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() <= maxLog {
		return err
	}
	n := info.Size() / block * block
	if n == info.Size() {
		n -= block // a file cannot be cut to nothing this way
	}
	if err := copyStart(f, n, l.older()); err != nil {
		return fmt.Errorf("limit log: %w", err)
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, n); err != nil {
		n = info.Size()
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("limit log: %w", err)
		}
	}
	l.cut += n
	return nil
}

func copyStart(f *os.File, n int64, path string) error {
	older, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer older.Close()
	_, err = io.Copy(older, io.NewSectionReader(f, 0, n))
	return err
}

// turn puts the whole file aside, before another release writes to it.
func (l *logFile) turn() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	info, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Rename(l.path, l.older())
	}
	if err != nil {
		return fmt.Errorf("put log aside: %w", err)
	}
	l.cut += info.Size()
	return nil
}

// readFrom returns what was written after position, at most a megabyte, and
// the position after it.
func (l *logFile) readFrom(position int64) ([]byte, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, position, nil
	}
	if err != nil {
		return nil, position, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	start := max(position-l.cut, 0)
	data, err := io.ReadAll(io.NewSectionReader(f, start, block))
	return data, l.cut + start + int64(len(data)), err
}

// lines returns the last lines, from what was put aside too when they are few,
// and the position after them.
func (l *logFile) lines(n int) ([]byte, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.Open(l.path)
	if err != nil {
		return lastLines(tail(l.older(), 4<<20), n), l.cut
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, l.cut
	}
	start := max(size-4<<20, 0)
	data, err := io.ReadAll(io.NewSectionReader(f, start, size-start))
	if err != nil {
		return nil, l.cut + size
	}
	if bytes.Count(data, []byte("\n")) < n {
		data = append(tail(l.older(), 4<<20), data...)
	}
	return lastLines(data, n), l.cut + size
}

func lastLines(data []byte, n int) []byte {
	if n <= 0 {
		return nil
	}
	end := len(bytes.TrimSuffix(data, []byte("\n")))
	for range n {
		i := bytes.LastIndexByte(data[:end], '\n')
		if i < 0 {
			return data
		}
		end = i
	}
	return data[end+1:]
}

// turnLogs puts the logs of what was in the slot aside.
func (e *environment) turnLogs(slot ship.Slot) error {
	files, err := filepath.Glob(filepath.Join(e.logDir(), string(slot)+".*.log"))
	if err != nil {
		return fmt.Errorf("put logs aside: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, path := range files {
		if err := e.logFile(strings.TrimSuffix(filepath.Base(path), ".log")).turn(); err != nil {
			return err
		}
	}
	return nil
}

// copyLogs carries out platform.Platform's Logs. Lines of a slot begin with
// the process they come from.
func (e *environment) copyLogs(ctx context.Context, q platform.LogQuery, w io.Writer) error {
	if q.Job != "" {
		return e.copyJob(ctx, q, w)
	}
	slot := q.Slot
	if slot == "" && e.now() != nil {
		slot = e.now().Active
	}
	s := e.now().slot(slot)
	if s == nil {
		return ship.Errorf(ship.NotFound, "", "nothing was ever started in slot %q of %s", slot, e.id)
	}
	var sources []*source
	e.mu.Lock()
	for _, id := range sortedKeys(s.Instances) {
		if i := s.Instances[id]; q.Process == "" || q.Process == i.Process {
			sources = append(sources, &source{prefix: fmt.Sprintf("%s.%d | ", i.Process, i.Number), log: e.logFile(id)})
		}
	}
	e.mu.Unlock()
	for _, from := range sources {
		text, at := from.log.lines(q.Lines)
		from.at = at
		if err := from.write(w, text); err != nil {
			return err
		}
	}
	return follow(ctx, q.Follow, sources, w, func() bool { return false })
}
