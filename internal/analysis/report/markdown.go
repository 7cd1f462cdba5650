package report

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/shiplock/shiplock/internal/analysis"
)

// Markdown writes the report for people.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s in %s: %s\n\n", plain(r.Release), plain(r.Environment.String()), r.Title)
	if r.Badge != "" {
		fmt.Fprintf(&b, "**%s**\n\n", strings.ToUpper(r.Badge[:1])+r.Badge[1:])
	}
	fmt.Fprintf(&b, "%s.\n\n", plain(strings.TrimSuffix(r.Sentence, ".")))
	if r.Where != "" {
		fmt.Fprintf(&b, "Of the failures that were kept: %s.\n\n", plain(r.Where))
	}
	r.facts(&b)
	tests(&b, r.Tests)
	r.latency(&b)
	b.WriteString("## Timeline (UTC)\n\n")
	for _, m := range r.Timeline {
		fmt.Fprintf(&b, "* %s  %s\n", clock(m.At), plain(m.Text))
	}
	r.failures(&b)
	list(&b, "What was undone", r.Undone)
	list(&b, "What was not undone", r.Kept)
	if r.Next != "" {
		fmt.Fprintf(&b, "\nNext: %s\n", code(r.Next))
	}
	return b.String()
}

func (r Report) facts(b *strings.Builder) {
	c := r.Evidence.Config
	fmt.Fprintf(b, "| | |\n| --- | --- |\n| run | %s |\n| watched | from %s to %s UTC |\n", code(r.Run),
		c.Began.UTC().Format(time.DateTime), r.Evidence.Judgement.At.UTC().Format(time.DateTime))
	if t := r.Evidence.Judgement.Test; t != "" {
		fmt.Fprintf(b, "| decided by | %s |\n", t)
	}
	last := r.Evidence.Last
	fmt.Fprintf(b, "| requests on %s | %s, of which %s failed |\n", plain(r.Release), number(last.New.Requests), number(last.New.Errors))
	if last.Old.Requests > 0 {
		fmt.Fprintf(b, "| requests on %s beside it | %s, of which %s failed |\n", plain(r.Previous), number(last.Old.Requests), number(last.Old.Errors))
	}
	b.WriteString("\n")
}

func tests(b *strings.Builder, all []analysis.Test) {
	b.WriteString("## Tests\n\nS of n trials were bad; a test holds that against a chance of at most the limit. E is the evidence that it is more: a release that keeps the limit\n" +
		"reaches the value that rolls back with a chance of at most one in so many, however often one looks.\n\n" +
		"| test | S | n | S/n lies between (95 %) | limit | E | rolls back at | E for health, proven at 20 |\n| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |\n")
	for _, t := range all {
		health := "–"
		if t.HealthyLine > 0 {
			health = value(t.Healthy)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s – %s | %s | %s | %s | %s |\n", t.Name, number(t.Marked), number(t.Trials),
			percent(t.Interval.Low), percent(t.Interval.High), percent(t.Limit), value(t.E), value(t.Line), health)
	}
	b.WriteString("\n")
}

func (r Report) latency(b *strings.Builder) {
	if r.Latency == nil {
		return
	}
	b.WriteString("## Latency\n\n| quantile | lies between (95 %, at all times) |\n| --- | --- |\n")
	for _, q := range []struct {
		name string
		span analysis.Span
	}{{"p50", r.Latency.P50}, {"p95", r.Latency.P95}, {"p99", r.Latency.P99}} {
		high := "anything"
		if q.span.High > 0 {
			high = q.span.High.String()
		}
		fmt.Fprintf(b, "| %s | %s – %s |\n", q.name, q.span.Low, high)
	}
	b.WriteString("\n")
}

func (r Report) failures(b *strings.Builder) {
	if len(r.Failures) == 0 {
		return
	}
	b.WriteString("\n## Some of the requests that failed\n\nWithout bodies and queries.\n\n| at (UTC) | request | ended with | after |\n| --- | --- | --- | ---: |\n")
	for _, f := range r.Failures {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", clock(f.At), code(f.Method+" "+f.Path), plain(ended(f)), f.Took.Round(100*time.Microsecond))
	}
}

func list(b *strings.Builder, head string, items []string) {
	fmt.Fprintf(b, "\n## %s\n\n", head)
	if len(items) == 0 {
		b.WriteString("Nothing.\n")
	}
	for _, item := range items {
		fmt.Fprintf(b, "* %s\n", plain(item))
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// mostText bounds what a stranger's request puts into a report.
const mostText = 1000

// clean drops what would steer a terminal or turn a line around.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > mostText {
		return string(runes[:mostText]) + "…"
	}
	return s
}

// plain keeps text from being taken for Markdown or HTML, and lets it be read
// on a terminal as well: "<" is escaped only where a tag could begin.
func plain(s string) string {
	s = strings.NewReplacer("\\", "\\\\", "|", "\\|", "`", "\\`", "*", "\\*", "[", "\\[").Replace(clean(s))
	return tag.ReplaceAllString(s, "&lt;$1")
}

var tag = regexp.MustCompile(`<([A-Za-z/!?])`)

// code shows text as it is.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "¦").Replace(clean(s)) + "`"
}

// value prints evidence with the digits that mean something.
func value(e float64) string {
	switch {
	case e >= 1e6:
		return strconv.FormatFloat(e, 'e', 1, 64)
	case e >= 10:
		return number(int64(e + 0.5))
	case e >= 0.01:
		return strconv.FormatFloat(e, 'f', 2, 64)
	}
	return "< 0.01"
}

func percent(share float64) string {
	text := strconv.FormatFloat(share*100, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " %"
}

// number prints thousands apart.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
