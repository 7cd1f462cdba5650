package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// text reads a node that must be text.
func (d *decoder) text(n ast.Node) (string, spot, bool) {
	at := spotOf(n)
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, at, true
	case *ast.LiteralNode:
		at.width = 1
		return n.Value.Value, at, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		d.report(at, "write it in quotes", "expected text, found %s", kindOf(n))
	case *ast.NullNode:
		d.report(at, "", "a value is missing")
	default:
		d.report(at, "", "expected text, found %s", kindOf(n))
	}
	return "", at, false
}

// line reads text of one line: not empty, without control characters, and not
// beginning with a dash, which a program would take for an option.
func (d *decoder) line(n ast.Node) (string, spot, bool) {
	s, at, ok := d.text(n)
	if !ok {
		return "", at, false
	}
	if s == "" {
		d.report(at, "", "the text is empty")
		return "", at, false
	}
	if r, bad := controlIn(s); bad {
		d.report(at, "", "the text has the control character %U", r)
		return "", at, false
	}
	if strings.HasPrefix(s, "-") {
		d.report(at, "", "the text begins with a dash, which a program would take for an option")
		return "", at, false
	}
	return s, at, true
}

// controlIn returns the first control character of s.
func controlIn(s string) (rune, bool) {
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return r, true
		}
	}
	return 0, false
}

// plain is a line with no further meaning, and the embryo of the other scalars.
type plain struct {
	Text string
	At   spot
}

func (p *plain) decode(d *decoder, n ast.Node) { p.Text, p.At, _ = d.plainLine(n) }

// plainLine is line without references, which nobody would resolve here.
func (d *decoder) plainLine(n ast.Node) (string, spot, bool) {
	s, at, ok := d.line(n)
	if ok && (strings.Contains(s, "${secret:") || strings.Contains(s, "${env:")) {
		d.report(at, "set it under vars", "references are not resolved here: this text is shown in plans and reports")
		return "", at, false
	}
	return s, at, ok
}

// set tells whether the file has the value.
func (p plain) set() bool { return p.At.line > 0 }

func (p plain) word() string { return p.Text }

// texts returns the text of each item.
func texts[T interface{ word() string }](list []T) []string {
	var out []string
	for _, item := range list {
		out = append(out, item.word())
	}
	return out
}

// or returns the value, or the default when the file has none.
func (p plain) or(fallback string) string {
	if p.set() {
		return p.Text
	}
	return fallback
}

// A name is what an app, an environment, a process or a gate is called.
type name struct{ plain }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,38}$`)

func (v *name) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text != "" && !d.checkName(v.Text, v.At) {
		v.Text = ""
	}
}

func (d *decoder) checkName(s string, at spot) bool {
	if namePattern.MatchString(s) {
		return true
	}
	d.report(at, "", "the name %q must be 1 to 39 lower-case letters, digits and dashes and begin with a letter", s)
	return false
}

// A choice is one of the words its field names in the schema.
type choice struct{ plain }

func (v *choice) rule(d *decoder, rules []string) {
	var words []string
	for _, rule := range rules {
		if word, ok := strings.CutPrefix(rule, "enum="); ok {
			words = append(words, word)
		}
	}
	if v.Text != "" && !slices.Contains(words, v.Text) {
		d.report(v.At, didYouMean(v.Text, words), "%q is not one of %s", v.Text, strings.Join(words, ", "))
		v.Text = ""
	}
}

// A flag is true or false.
type flag struct {
	On bool
	At spot
}

func (v *flag) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.report(v.At, "", "expected true or false, found %s", kindOf(n))
		return
	}
	v.On = b.Value
}

// A count is a whole number within the limits its field names in the schema.
type count struct {
	N  int
	At spot
}

func (v *count) decode(d *decoder, n ast.Node) {
	if _, ok := n.(*ast.IntegerNode); !ok {
		d.report(spotOf(n), "", "expected a whole number, found %s", kindOf(n))
		return
	}
	number, err := strconv.Atoi(n.GetToken().Value)
	if err != nil {
		d.report(spotOf(n), "", "%q is not a decimal whole number", n.GetToken().Value)
		return
	}
	v.N, v.At = number, spotOf(n)
}

func (v *count) rule(d *decoder, rules []string) {
	if v.At.line == 0 {
		return
	}
	for _, rule := range rules {
		key, limit, _ := strings.Cut(rule, "=")
		number, err := strconv.Atoi(limit)
		if err == nil && (key == "minimum" && v.N < number || key == "maximum" && v.N > number) {
			d.report(v.At, "", "%d is not allowed, the %s is %d", v.N, key, number)
		}
	}
}

func (v count) or(fallback int) int {
	if v.At.line > 0 {
		return v.N
	}
	return fallback
}

// A duration is a length of time: 500ms, 30s, 1h30m, 28d, 2w.
type duration struct {
	Length time.Duration
	At     spot
}

func (v *duration) decode(d *decoder, n ast.Node) {
	at := spotOf(n)
	if i, ok := n.(*ast.IntegerNode); ok {
		d.report(at, "write "+i.Token.Value+"s for seconds", "the duration %s has no unit", i.Token.Value)
		return
	}
	s, _, ok := d.plainLine(n)
	if !ok {
		return
	}
	length, ok := parseDuration(s)
	if !ok {
		d.report(at, "", "%q is not a duration such as 500ms, 30s, 1h30m or 28d", s)
		return
	}
	v.Length, v.At = length, at
}

func (v duration) or(fallback time.Duration) time.Duration {
	if v.At.line > 0 {
		return v.Length
	}
	return fallback
}

const (
	durationSchema = `^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$`
	maxDuration    = 10 * 365 * 24 * time.Hour
)

var (
	durationParts   = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)`)
	durationPattern = regexp.MustCompile(durationSchema)
)

// parseDuration reads what time.ParseDuration does, and days and weeks.
func parseDuration(s string) (time.Duration, bool) {
	if len(s) > 64 || !durationPattern.MatchString(s) {
		return 0, false
	}
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	var total float64
	for _, part := range durationParts.FindAllStringSubmatch(s, -1) {
		number, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, false
		}
		total += number * float64(units[part[2]])
	}
	if total > float64(maxDuration) {
		return 0, false
	}
	return time.Duration(total), true
}

// A percent is a share, written "1%".
type percent struct {
	Share float64 // 0.01 is 1 %
	At    spot
}

func (v *percent) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	raw := n.GetToken().Value
	digits, ok := strings.CutSuffix(raw, "%")
	number, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	switch {
	case err != nil || !(number >= 0 && number <= 100):
		d.report(v.At, "", "%q is not a percentage such as 1%% or 0.5%%", raw)
	case !ok:
		d.report(v.At, "did you mean "+raw+"%?", "the percentage %s has no sign", raw)
	default:
		v.Share = number / 100
	}
}

func (v percent) or(fallback float64) float64 {
	if v.At.line > 0 {
		return v.Share
	}
	return fallback
}

// A size is a number of bytes: 512KB, 10MB, 1GB, each 1024 of the one before.
type size struct {
	Bytes int64
	At    spot
}

const sizeSchema = `^[0-9]{1,6}(KB|MB|GB)$`

var sizePattern = regexp.MustCompile(sizeSchema)

func (v *size) decode(d *decoder, n ast.Node) {
	at := spotOf(n)
	if i, ok := n.(*ast.IntegerNode); ok {
		d.report(at, "write "+i.Token.Value+"MB for megabytes", "the size %s has no unit", i.Token.Value)
		return
	}
	s, _, ok := d.plainLine(n)
	if !ok {
		return
	}
	number, err := strconv.ParseInt(strings.TrimRight(s, "KMGB"), 10, 64)
	if !sizePattern.MatchString(s) || err != nil || number == 0 {
		d.report(at, "", "%q is not a size such as 512KB, 10MB or 1GB", s)
		return
	}
	shift := map[byte]int{'K': 10, 'M': 20, 'G': 30}[s[len(s)-2]]
	v.Bytes, v.At = number<<shift, at
}

func (v size) or(fallback int64) int64 {
	if v.At.line > 0 {
		return v.Bytes
	}
	return fallback
}
