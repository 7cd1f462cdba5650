// Package traceback finds in what a Python program wrote to its standard
// error the few lines that say why it failed. It knows the shape of Python's
// tracebacks and nothing of the program.
package traceback

import (
	"regexp"
	"strings"
)

const (
	maxLines = 12
	maxBytes = 2000
)

// frame is a line of a traceback that names a place in the source.
var frame = regexp.MustCompile(`^\s+File "([^"]+)", line (\d+)`)

// Reason returns why the program failed: the message of the last exception
// and, where one of the frames matches where, the last such place in the
// source. Of output without a traceback it returns the last lines. It returns
// "" when there is nothing to tell.
func Reason(stderr []byte, where *regexp.Regexp) string {
	lines := strings.Split(strings.ReplaceAll(string(stderr), "\r\n", "\n"), "\n")
	head := -1
	place := ""
	for i, line := range lines {
		if strings.HasPrefix(line, "Traceback (most recent call last)") {
			head = i
		}
		if m := frame.FindStringSubmatch(line); m != nil && where != nil && where.MatchString(m[1]) {
			place = m[1] + " line " + m[2]
		}
	}
	if head < 0 {
		return tail(lines)
	}
	end := head + 1
	for end < len(lines) && (lines[end] == "" || lines[end][0] == ' ') {
		end++
	}
	reason := firstLines(lines[end:])
	if reason == "" { // the traceback was cut before its end
		return tail(lines)
	}
	if place != "" {
		reason += " (" + place + ")"
	}
	return reason
}

// firstLines returns the message of an exception, which may have several lines.
func firstLines(lines []string) string {
	var kept []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return bounded(kept[:min(len(kept), maxLines)])
}

func tail(lines []string) string {
	var kept []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return bounded(kept[max(0, len(kept)-5):])
}

func bounded(lines []string) string {
	text := strings.Join(lines, "\n")
	if len(text) > maxBytes {
		text = strings.ToValidUTF8(text[:maxBytes], "") + "…"
	}
	return text
}
