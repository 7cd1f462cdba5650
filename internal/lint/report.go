package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A jsonFinding is a finding as other programs read it; its shape is a
// contract.
type jsonFinding struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	Rule      string `json:"rule"`
	Class     Class  `json:"class"`
	Statement string `json:"statement"`
	Locks     []Lock `json:"locks"`
	Message   string `json:"message"`
	Rewrite   string `json:"rewrite"`
	Work      Work   `json:"work"` // "" changes the catalogue alone
	Breaks    bool   `json:"breaks_running_release"`
	Stuck     bool   `json:"breaks_way_down"`
}

// WriteJSON writes one array of findings.
func WriteJSON(w io.Writer, found []Finding) error {
	all := make([]jsonFinding, len(found))
	for i, f := range found {
		all[i] = jsonFinding{f.File, f.Line, f.Column, f.Rule, f.Class, f.Statement, f.Locks, f.Message, f.Rewrite, f.Work, f.Breaks, f.Stuck}
		if f.Locks == nil {
			all[i].Locks = []Lock{}
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(all)
}

// WriteText writes findings for people, and a last line that counts them.
func WriteText(w io.Writer, found []Finding, contract bool) error {
	var b strings.Builder
	blocking := 0
	for _, f := range found {
		writeFinding(&b, f)
		if f.Blocks(contract) {
			blocking++
		}
	}
	switch {
	case len(found) == 0:
		b.WriteString("Nothing is found.\n")
	case blocking == 0:
		fmt.Fprintf(&b, "%s, none of them blocks.\n", counted(len(found)))
	default:
		fmt.Fprintf(&b, "%s, %d of them blocking.\n", counted(len(found)), blocking)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func counted(n int) string {
	if n == 1 {
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", n)
}

func writeFinding(b *strings.Builder, f Finding) {
	fmt.Fprintf(b, "%s:%d:%d: %s %s: %s\n", f.File, f.Line, f.Column, f.Class, f.Rule, f.Message)
	writeStatement(b, f)
	if len(f.Locks) > 0 {
		fmt.Fprintf(b, "      locks   %s\n", lockText(f.Locks))
	}
	if f.Work != "" {
		fmt.Fprintf(b, "      work    %s\n", f.Work)
	}
	if hurt := f.hurts(); hurt != "" {
		fmt.Fprintf(b, "      breaks  %s\n", hurt)
	}
	if f.Rewrite != "" {
		b.WriteString("      instead\n")
		for line := range strings.Lines(f.Rewrite) {
			fmt.Fprintf(b, "        %s\n", strings.TrimRight(line, "\n"))
		}
	}
	b.WriteString("\n")
}

// hurts names what a finding breaks.
func (f Finding) hurts() string {
	switch {
	case f.Breaks && f.Stuck:
		return "the running release, and the way down"
	case f.Breaks:
		return "the running release"
	case f.Stuck:
		return "the way down"
	}
	return ""
}

func lockText(locks []Lock) string {
	all := make([]string, len(locks))
	for i, l := range locks {
		all[i] = l.Mode + " on " + l.Table
	}
	return strings.Join(all, ", ")
}

// writeStatement shows the line a finding is about, with carets below its
// part.
func writeStatement(b *strings.Builder, f Finding) {
	if f.Statement == "" {
		return
	}
	at := 0
	if f.Part != "" {
		at = max(0, strings.Index(f.Statement, f.Part))
	}
	line := f.Line + strings.Count(f.Statement[:at], "\n")
	start := strings.LastIndexByte(f.Statement[:at], '\n') + 1
	text, _, _ := strings.Cut(f.Statement[start:], "\n")
	text = strings.ReplaceAll(strings.TrimRight(text, "\r"), "\t", " ")
	before := min(at-start, len(text))
	part, _, _ := strings.Cut(f.Part, "\n")
	if part = strings.TrimRight(part, "\r"); part == "" || before+len(part) > len(text) {
		part = text[before:]
	}
	indent, length := utf8.RuneCountInString(text[:before]), utf8.RuneCountInString(part)
	const wide = 160
	if runes := []rune(text); len(runes) > wide && indent < wide {
		text, length = string(runes[:wide])+"…", min(length, wide-indent)
	}
	fmt.Fprintf(b, "%5d | %s\n      | %s%s\n", line, text, strings.Repeat(" ", indent), strings.Repeat("^", max(1, length)))
}

// WriteGitHub writes findings as annotations of a workflow.
func WriteGitHub(w io.Writer, found []Finding, contract bool) error {
	var b strings.Builder
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range found {
		text := f.Message
		if f.Rewrite != "" {
			text += "\n\n" + f.Rewrite
		}
		fmt.Fprintf(&b, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", f.level(contract, "notice"), property.Replace(f.File), f.Line, f.Column, f.Rule, escape.Replace(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// level is the word others have for how bad a finding is.
func (f Finding) level(contract bool, least string) string {
	switch {
	case f.Blocks(contract):
		return "error"
	case f.Class == Info:
		return least
	}
	return "warning"
}
