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
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// A source is a log that is being copied.
type source struct {
	prefix string
	log    *logFile
	at     int64
	part   []byte // a line that has not ended yet
}

// write writes whole lines, each after the prefix.
func (s *source) write(w io.Writer, data []byte) error {
	data = append(s.part, data...)
	end := bytes.LastIndexByte(data, '\n') + 1
	s.part = bytes.Clone(data[end:])
	var out bytes.Buffer
	for line := range bytes.Lines(data[:end]) {
		out.WriteString(s.prefix)
		out.Write(line)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// follow copies what is added to the sources until ctx ends or over says so.
func follow(ctx context.Context, more bool, sources []*source, w io.Writer, over func() bool) error {
	for more && ctx.Err() == nil {
		done := over() // asked before reading, so that the end is not missed
		quiet := true
		for _, s := range sources {
			data, at, err := s.log.readFrom(s.at)
			if err != nil {
				return err
			}
			s.at, quiet = at, quiet && len(data) == 0
			if err := s.write(w, data); err != nil {
				return err
			}
		}
		if done && quiet {
			return nil
		}
		if quiet {
			pause(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

// jobNames returns what a command that a person names can be called in a run:
// "d-12-k3x9q.gate-unit" in full, with the run's number alone, or without it.
func jobNames(run, name string) []string {
	names := []string{name, run + "." + name}
	if number, command, ok := strings.Cut(name, "."); ok && strings.HasPrefix(run, number+"-") {
		names = append(names, run+"."+command)
	}
	return names
}

// copyJob copies the output of a named command of the newest run that has it.
func (e *environment) copyJob(ctx context.Context, q platform.LogQuery, w io.Writer) error {
	if !jobName.MatchString(q.Job) {
		return ship.Errorf(ship.Invalid, "", "%q is not the name of a command", q.Job)
	}
	runs, err := os.ReadDir(filepath.Join(e.jobs(), "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find command: %w", err)
	}
	var newest job
	var at time.Time
	for _, run := range runs {
		for _, name := range jobNames(run.Name(), q.Job) {
			j := jobOf(e.runs(run.Name()), name)
			if info, err := os.Stat(filepath.Join(j.dir, jobTask)); err == nil && info.ModTime().After(at) {
				newest, at = j, info.ModTime()
			}
		}
	}
	if newest.dir == "" {
		return ship.Errorf(ship.NotFound, "", "no run of %s has a command named %s", e.id, q.Job)
	}
	var sources []*source
	for _, name := range []string{jobStdout, jobStderr} {
		s := &source{log: &logFile{path: filepath.Join(newest.dir, name)}}
		text, at := s.log.lines(q.Lines)
		s.at = at
		if len(text) > 0 && !strings.HasSuffix(string(text), "\n") && !q.Follow {
			text = append(text, '\n')
		}
		if err := s.write(w, text); err != nil {
			return err
		}
		sources = append(sources, s)
	}
	return follow(ctx, q.Follow, sources, w, func() bool { _, over, err := newest.result(); return over || err != nil })
}
