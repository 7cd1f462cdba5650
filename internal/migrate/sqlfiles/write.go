package sqlfiles

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

var _ migrate.Writer = (*Tool)(nil)

// Write implements [migrate.Writer].
func (t *Tool) Write(tree fs.FS, drafts []migrate.Draft, at time.Time) ([]migrate.File, error) {
	sources, err := t.read(tree)
	if err != nil {
		return nil, err
	}
	c, err := t.convention(sources)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, ship.Errorf(ship.Invalid, "name it with --convention goose, golang-migrate, dbmate or flyway",
			"the folder %s has no migration yet, so it cannot be told which tool it is for", t.cfg.Dir)
	}
	versions := numbering(c, sources, at)
	var all []migrate.File
	for i, d := range drafts {
		for _, f := range c.write(versions(i), d) {
			f.Path = path.Join(t.cfg.Dir, f.Path)
			all = append(all, f)
		}
	}
	return all, nil
}

// stamp is a version that is a time.
const stamp = "20060102150405"

var leading = regexp.MustCompile(`^V?([0-9]+)`)

// numbering returns the versions of new files: behind the highest, as wide as
// it, and of the clock where that one is.
func numbering(c *convention, sources []source, at time.Time) func(i int) string {
	highest := ""
	for _, s := range sources {
		m := leading.FindStringSubmatch(s.name)
		if m != nil && (highest == "" || compareNumbers(number(m[1]), number(highest)) > 0) {
			highest = m[1]
		}
	}
	width := len(highest)
	if highest == "" {
		highest, width = "0", map[string]int{"goose": 5, "golang-migrate": 6, "dbmate": len(stamp)}[c.name]
	}
	base, err := strconv.ParseInt(highest, 10, 64)
	if err != nil {
		base = 0
	}
	if width == len(stamp) {
		if now, err := strconv.ParseInt(at.UTC().Format(stamp), 10, 64); err == nil && now > base {
			base = now - 1
		}
	}
	return func(i int) string { return fmt.Sprintf("%0*d", width, base+1+int64(i)) }
}

// writeGoose puts both ways into one file.
func writeGoose(version string, d migrate.Draft) []migrate.File {
	var b strings.Builder
	comments(&b, d.Header)
	if d.Alone {
		b.WriteString("-- +goose NO TRANSACTION\n")
	}
	b.WriteString("-- +goose Up\n")
	whole := func(sql string) string {
		if strings.Contains(sql, ";") {
			return "-- +goose StatementBegin\n" + sql + ";\n-- +goose StatementEnd\n"
		}
		return sql + ";\n"
	}
	statements(&b, d.Up, whole)
	down(&b, d, "\n-- +goose Down\n", whole)
	return []migrate.File{{Path: version + "_" + d.Name + ".sql", Text: b.String()}}
}

// writeDbmate puts both ways into one file.
func writeDbmate(version string, d migrate.Draft) []migrate.File {
	var b strings.Builder
	option := ""
	if d.Alone {
		option = " transaction:false"
	}
	comments(&b, d.Header)
	b.WriteString("-- migrate:up" + option + "\n")
	statements(&b, d.Up, plainly)
	down(&b, d, "\n-- migrate:down"+option+"\n", plainly)
	return []migrate.File{{Path: version + "_" + d.Name + ".sql", Text: b.String()}}
}

// writePair writes a file for each way.
func writePair(version string, d migrate.Draft) []migrate.File {
	return writeTwo(d, version+"_"+d.Name+".up.sql", version+"_"+d.Name+".down.sql")
}

// writeFlyway writes a file for each way, and its settings beside it.
func writeFlyway(version string, d migrate.Draft) []migrate.File {
	all := writeTwo(d, "V"+version+"__"+d.Name+".sql", "U"+version+"__"+d.Name+".sql")
	if d.Alone {
		for _, f := range all {
			all = append(all, migrate.File{Path: f.Path + ".conf", Text: "executeInTransaction=false\n"})
		}
	}
	return all
}

func writeTwo(d migrate.Draft, up, back string) []migrate.File {
	var b, other strings.Builder
	comments(&b, d.Header)
	statements(&b, d.Up, plainly)
	if d.WhyNot != "" {
		b.WriteString("\n-- no way down: " + d.WhyNot + "\n")
		return []migrate.File{{Path: up, Text: b.String()}}
	}
	down(&other, d, "", plainly)
	return []migrate.File{{Path: up, Text: b.String()}, {Path: back, Text: other.String()}}
}

func comments(b *strings.Builder, lines []string) {
	for _, line := range lines {
		b.WriteString("-- " + strings.ReplaceAll(line, "\n", " ") + "\n")
	}
}

func plainly(sql string) string { return sql + ";\n" }

func statements(b *strings.Builder, all []string, write func(string) string) {
	for _, sql := range all {
		b.WriteString(write(sql))
	}
}

// down writes the way down behind its mark, or why there is none.
func down(b *strings.Builder, d migrate.Draft, mark string, write func(string) string) {
	if d.WhyNot != "" {
		b.WriteString("\n-- no way down: " + d.WhyNot + "\n")
		return
	}
	b.WriteString(mark)
	statements(b, d.Down, write)
	if len(d.Down) == 0 {
		b.WriteString("-- there is nothing to take back\n")
	}
}
