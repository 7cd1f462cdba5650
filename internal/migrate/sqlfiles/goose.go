package sqlfiles

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

var gooseUp = regexp.MustCompile(`(?mi)^--\s*\+goose\s+up\s*$`)

// goose keeps NNNNN_name.sql with both ways in one file.
func goose() *convention {
	return &convention{
		name: "goose", table: "goose_db_version",
		claims:  func(s source) bool { return number(s.name) != "" && gooseUp.MatchString(s.text) },
		files:   gooseFiles,
		compare: compareNumbers,
		version: number,
		history: func(table, dialect string) history { return &gooseHistory{table: table, dialect: dialect} },
		write:   writeGoose,
	}
}

func gooseFiles(sources []source) ([]*file, error) {
	var all []*file
	for _, s := range sources {
		version := number(s.name)
		switch {
		case version == "" || version == "0" || !strings.Contains(s.name, "_") || strings.HasSuffix(s.name, "_test.go"):
			continue
		case path.Ext(s.name) == ".go":
			return nil, fmt.Errorf("%s is written in Go, which only the project's own program can run: use the tool \"command\"", s.path)
		case path.Ext(s.name) != ".sql":
			continue
		}
		if err := fits64(s.path, version); err != nil {
			return nil, err
		}
		f, err := gooseFile(s)
		if err != nil {
			return nil, fmt.Errorf("%s, %w", s.path, err)
		}
		f.version = version
		all = append(all, f)
	}
	return all, nil
}

// gooseFile cuts a file at its annotations.
func gooseFile(s source) (*file, error) {
	g := gooseParser{text: s.text}
	for g.at = 0; g.at < len(s.text); {
		end := len(s.text)
		if i := strings.IndexByte(s.text[g.at:], '\n'); i >= 0 {
			end = g.at + i + 1
		}
		g.line++
		if err := g.read(s.text[g.at:end], end); err != nil {
			return nil, fmt.Errorf("line %d: %w", g.line, err)
		}
		g.at = end
	}
	if g.whole {
		return nil, fmt.Errorf("line %d: StatementBegin has no StatementEnd", g.line)
	}
	if g.part == nil {
		return nil, fmt.Errorf("line 1: there is no -- +goose Up")
	}
	g.close(len(s.text))
	f := &file{id: s.stem(), path: s.path, checksum: checksum(s.text), up: g.up}
	f.up.path, f.up.source, f.up.alone, f.up.refused = s.path, s.text, g.alone, g.refused
	f.up.text = s.text
	if g.part == &g.down {
		f.up.text = s.text[:g.downAt]
		f.down = &g.down
		f.down.path, f.down.source, f.down.alone, f.down.refused = s.path, s.text, g.alone, g.refused
		f.down.text = s.text[g.downAt:]
	} else {
		f.whyNot = s.path + " has no -- +goose Down"
	}
	return f, nil
}

type gooseParser struct {
	text     string
	line, at int
	up, down part
	part     *part
	start    int  // of the segment under way
	whole    bool // it is one statement, whatever it holds
	alone    bool
	refused  string
	downAt   int
}

func (g *gooseParser) read(line string, next int) error {
	trimmed := strings.TrimSpace(line)
	if !strings.HasPrefix(trimmed, "--") || !strings.Contains(trimmed, "+goose") {
		if g.part == nil && trimmed != "" && !strings.HasPrefix(trimmed, "--") {
			return fmt.Errorf("something comes before -- +goose Up")
		}
		return nil
	}
	word := strings.ToUpper(strings.Join(strings.Fields(strings.SplitN(trimmed, "+goose", 2)[1]), " "))
	switch word {
	case "NO TRANSACTION":
		g.alone = true
	case "ENVSUB ON":
		g.refused = "it asks for ENVSUB, variables of the machine it is applied on, which are not part of a release"
	case "ENVSUB OFF":
	case "UP":
		return g.begin(&g.up, g.part == nil, next)
	case "DOWN":
		g.downAt = g.at
		return g.begin(&g.down, g.part == &g.up && !g.whole, next)
	case "STATEMENTBEGIN":
		return g.statement(true, next)
	case "STATEMENTEND":
		return g.statement(false, next)
	default:
		return fmt.Errorf("the annotation %q is unknown", word)
	}
	return nil
}

func (g *gooseParser) begin(p *part, allowed bool, next int) error {
	if !allowed {
		return fmt.Errorf("this annotation is out of place")
	}
	g.close(g.at)
	g.part, g.start = p, next
	return nil
}

func (g *gooseParser) statement(begin bool, next int) error {
	if g.part == nil || g.whole == begin {
		return fmt.Errorf("this annotation is out of place")
	}
	g.close(g.at)
	g.whole, g.start = begin, next
	return nil
}

// close ends the segment under way.
func (g *gooseParser) close(end int) {
	if g.part != nil && end > g.start {
		g.part.segments = append(g.part.segments, segment{start: g.start, end: end, whole: g.whole})
	}
}
