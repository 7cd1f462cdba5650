package command

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/ship"
)

// Limits of what is read.
const (
	maxDepth = 64
	maxTests = 1_000_000
	maxItems = 50 // failed tests that are kept
)

// results are what a command's files say.
type results struct {
	tests, failed, skipped int
	items                  []ship.Item

	read           bool  // of a coverage
	lines, hit     int64 // of all files
	branches, took int64
}

func (r results) ran() int { return r.tests - r.skipped }

// covered is the share of lines in percent.
func (r results) covered() float64 {
	if r.lines == 0 {
		return 0
	}
	return 100 * float64(r.hit) / float64(r.lines)
}

// said is the results as the end of a sentence.
func (r results) said() string {
	var parts []string
	if r.tests > 0 || r.failed > 0 {
		text := fmt.Sprintf("%d of %d tests failed", r.failed, r.ran())
		if r.failed == 0 {
			text = fmt.Sprintf("%d tests passed", r.ran())
		}
		if r.skipped > 0 {
			text += fmt.Sprintf(", %d skipped", r.skipped)
		}
		if r.failed > 0 {
			text += ": " + gate.Line(r.items[0].Title+": "+r.items[0].Text, 2*maxLine)
		}
		parts = append(parts, text)
	}
	if r.read {
		parts = append(parts, fmt.Sprintf("%.1f %% of %d lines are covered", r.covered(), r.lines))
	}
	return strings.Join(parts, "; ")
}

// report is nil where nothing was read.
func (r results) report(least *gate.Percent) *ship.Report {
	if !r.read && r.tests == 0 && r.failed == 0 {
		return nil
	}
	out := &ship.Report{Items: r.items, More: r.failed - len(r.items)}
	if r.tests > 0 {
		none := 0.0
		out.Figures = append(out.Figures,
			ship.Figure{Name: "failed tests", Value: float64(r.failed), Limit: &none, AtMost: true},
			ship.Figure{Name: "tests", Value: float64(r.tests)},
			ship.Figure{Name: "skipped tests", Value: float64(r.skipped)})
	}
	if r.read {
		f := ship.Figure{Name: "covered lines", Value: math.Round(r.covered()*10) / 10, Unit: "%"}
		if least != nil {
			limit := float64(*least)
			f.Limit, f.Value = &limit, r.covered()
		}
		out.Figures = append(out.Figures, f)
	}
	if r.branches > 0 {
		out.Figures = append(out.Figures, ship.Figure{Name: "covered branches", Value: math.Round(1000*float64(r.took)/float64(r.branches)) / 10, Unit: "%"})
	}
	return out
}

// walk goes through the elements of a document. Nothing outside it is read: a
// document type is passed over, and an entity that it defines is an error.
func walk(text []byte, root func(name string) bool, begin func(xml.StartElement), inside func(string), end func(name string)) error {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = charset
	depth, any := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && any && depth == 0 {
			return nil
		}
		if err != nil {
			return ship.Errorf(ship.Failed, "see whether the command wrote it whole", "it is not XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return ship.Errorf(ship.Failed, "", "it has more than %d levels", maxDepth)
			}
			if depth == 1 && (any || !root(t.Name.Local)) {
				return ship.Errorf(ship.Failed, "see whether the paths are in the right order", "its root is %q", gate.Line(t.Name.Local, maxName))
			}
			any = true
			begin(t)
		case xml.CharData:
			inside(string(t))
		case xml.EndElement:
			depth--
			end(t.Name.Local)
		}
	}
}

// charset reads what is not UTF-8 but simple enough.
func charset(name string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1":
		text, err := io.ReadAll(in) // of a file that is limited
		var b strings.Builder
		for _, c := range text {
			b.WriteRune(rune(c))
		}
		return strings.NewReader(b.String()), err
	}
	return nil, fmt.Errorf("its characters are coded as %q", gate.Line(name, maxName))
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// addJUnit adds the tests of a file.
func (r *results) addJUnit(text []byte) error {
	var test xml.StartElement // the current one
	var failed, skipped, telling bool
	var message string
	begin := func(e xml.StartElement) {
		switch e.Name.Local {
		case "testcase":
			test, failed, skipped, message = e, false, false, ""
		case "failure", "error":
			// A test that fails and whose clean-up does is one failed test.
			telling = !failed && test.Name.Local != ""
			if telling {
				failed, message = true, attribute(e, "message")
			}
		case "skipped":
			skipped = true
		}
	}
	inside := func(text string) {
		if telling && strings.TrimSpace(message) == "" {
			message = strings.TrimSpace(text)
		}
	}
	end := func(name string) {
		switch name {
		case "failure", "error":
			telling = false
		case "testcase":
			r.add(test, failed, skipped, message)
			test = xml.StartElement{}
		}
	}
	root := func(name string) bool { return name == "testsuites" || name == "testsuite" }
	if err := walk(text, root, begin, inside, end); err != nil {
		return err
	}
	if r.tests > maxTests {
		return ship.Errorf(ship.Failed, "", "it has more than %d tests", maxTests)
	}
	return nil
}

func (r *results) add(test xml.StartElement, failed, skipped bool, message string) {
	r.tests++
	switch {
	case failed:
		if r.failed++; len(r.items) < maxItems {
			r.items = append(r.items, failure(test, message))
		}
	case skipped:
		r.skipped++
	}
}

// failure names a failed test and the first line of why.
func failure(test xml.StartElement, message string) ship.Item {
	name := attribute(test, "name")
	if class := attribute(test, "classname"); class != "" && !strings.HasPrefix(name, class) {
		name = class + "." + name
	}
	first, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	where := attribute(test, "file")
	if line := attribute(test, "line"); where != "" && line != "" {
		where += ":" + line
	}
	return ship.Item{Title: gate.Line(name, maxLine), Level: "error", Where: gate.Line(where, maxLine), Text: gate.Line(first, maxLine)}
}

// addCobertura adds the coverage of a file.
func (r *results) addCobertura(text []byte) error {
	number := func(e xml.StartElement, name string) int64 {
		n, err := strconv.ParseInt(attribute(e, name), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt32 {
			return 0
		}
		return n
	}
	var counted, hit int64 // by lines, where the root does not say
	var inClass bool
	begin := func(e xml.StartElement) {
		switch e.Name.Local {
		case "coverage":
			r.lines, r.hit = r.lines+number(e, "lines-valid"), r.hit+number(e, "lines-covered")
			r.branches, r.took = r.branches+number(e, "branches-valid"), r.took+number(e, "branches-covered")
			if attribute(e, "lines-valid") != "" {
				counted = -1
			}
		case "methods": // their lines are those of the class
			inClass = false
		case "class":
			inClass = true
		case "line":
			if inClass && counted >= 0 {
				counted++
				if number(e, "hits") > 0 {
					hit++
				}
			}
		}
	}
	end := func(name string) {
		if name == "methods" {
			inClass = true
		}
	}
	root := func(name string) bool { return name == "coverage" }
	if err := walk(text, root, begin, func(string) {}, end); err != nil {
		return err
	}
	if counted > 0 {
		r.lines, r.hit = r.lines+counted, r.hit+hit
	}
	if r.hit > r.lines || r.took > r.branches {
		return ship.Errorf(ship.Failed, "", "it says that more is covered than there is")
	}
	r.read = true
	return nil
}
