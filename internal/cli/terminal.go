package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/shiplock/shiplock/internal/ship"
)

// color colours a mark by what it says, where colours are wanted.
func (s *session) color(kind, text string) string {
	if s.noColor || !s.terminal(s.err) {
		return text
	}
	code := map[string]string{ship.EventDone: "32", ship.EventFailed: "31", ship.EventUndone: "33", ship.EventNote: "33"}[kind]
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// liveLine is the last line of a terminal, which says what is under way. A nil
// liveLine shows nothing.
type liveLine struct{ bar *progressbar.ProgressBar }

func newLiveLine(w io.Writer) *liveLine {
	return &liveLine{progressbar.NewOptions(-1, progressbar.OptionSetWriter(w), progressbar.OptionSpinnerType(14),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true), progressbar.OptionThrottle(100*time.Millisecond))}
}

func (l *liveLine) set(step, text string) {
	if l == nil {
		return
	}
	l.bar.Describe(fmt.Sprintf("%-14s %.90s", step, text))
	_ = l.bar.Add(1)
}

func (l *liveLine) clear() {
	if l != nil {
		_ = l.bar.Clear()
	}
}

// count says how many there are of what has a regular plural.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// firstLine is what of a text fits into a table.
func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if more {
		line += " …"
	}
	return line
}

// indent moves the lines after the first one in by so many columns.
func indent(text string, columns int) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", columns))
}

// progress is a bar for long work of our own; without a terminal it is silent.
type progress struct{ bar *progressbar.ProgressBar }

func (s *session) progress(what string, total int64) *progress {
	if s.quiet || s.json() || !s.terminal(s.err) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))}
}

// Set says how far the work is.
func (p *progress) Set(done, total int64) {
	if p.bar != nil {
		p.bar.ChangeMax64(total)
		_ = p.bar.Set64(done)
	}
}

// Write counts bytes.
func (p *progress) Write(b []byte) (int, error) {
	if p.bar != nil {
		_ = p.bar.Add(len(b))
	}
	return len(b), nil
}

// Close takes the bar away.
func (p *progress) Close() error {
	if p.bar == nil {
		return nil
	}
	return p.bar.Finish()
}
