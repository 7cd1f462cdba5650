package lint

import (
	"fmt"
	"strings"
)

// ClassText says what a class means.
func ClassText(c Class) string {
	switch c {
	case Block:
		return "blocks: it hurts unless it is written in another way"
	case Gate:
		return "gate: for the contract phase alone, when nothing uses the old shape"
	case Warn:
		return "warning: somebody should look at it"
	case Info:
		return "information: good to know, nothing to do"
	}
	return string(c)
}

// Page writes a rule's page in Markdown: its facts, and examples when there
// are some.
func (r Rule) Page(bad, good string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n%s\n", r.ID, r.Facts.Operation, "Class "+string(r.Class)+", "+ClassText(r.Class)+".")
	b.WriteString("\n| | measured |\n| --- | --- |\n")
	for _, row := range [][2]string{
		{"locks and work", r.Facts.Locks},
		{"server versions", r.Facts.Versions},
		{"what of the running release it breaks", r.Facts.Breaks},
		{"the way down", r.Facts.Rollback},
		{"safe way", r.Facts.Safe},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", row[0], strings.ReplaceAll(row[1], "|", `\|`))
		}
	}
	if bad != "" {
		fmt.Fprintf(&b, "\nFound in:\n\n```sql\n%s```\n", bad)
	}
	if good != "" {
		fmt.Fprintf(&b, "\nNot found in:\n\n```sql\n%s```\n", good)
	}
	if r.ID == NoReason {
		return b.String()
	}
	b.WriteString("\nTo ignore it for one statement, with the reason:\n\n")
	fmt.Fprintf(&b, "```sql\n-- shiplock:ignore %s why it does no harm here\n```\n", r.ID)
	b.WriteString("\nOr for files of migrations, in `shiplock.yaml`:\n\n")
	fmt.Fprintf(&b, "```yaml\nlint: {ignore: [{rule: %s, file: \"0004_*\", reason: why it does no harm}]}\n```\n", r.ID)
	return b.String()
}
