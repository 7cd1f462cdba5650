package sqlfiles

import (
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	flywayName        = regexp.MustCompile(`^([VUB])([0-9][0-9._]*)__(.+)\.sql$`)
	flywayRepeated    = regexp.MustCompile(`^R__.+\.sql$`)
	flywayCallback    = regexp.MustCompile(`^(before|after|create)[A-Z][A-Za-z]*(__.*)?\.sql$`)
	flywayPlaceholder = regexp.MustCompile(`\$\{[^}\n]+\}`)
	flywayAlone       = regexp.MustCompile(`(?mi)^\s*executeInTransaction\s*=\s*false\s*$`)
)

// flyway keeps V1__name.sql and, to go down, U1__name.sql.
func flyway() *convention {
	return &convention{
		name: "flyway", table: "flyway_schema_history",
		claims:  func(s source) bool { return flywayName.MatchString(s.name) || flywayRepeated.MatchString(s.name) },
		files:   flywayFiles,
		compare: compareDotted,
		version: func(id string) string {
			raw, _, _ := strings.Cut(strings.TrimPrefix(id, "V"), "__")
			return dotted(raw)
		},
		history: func(table, dialect string) history { return &flywayHistory{table: table, dialect: dialect} },
		write:   writeFlyway,
	}
}

func flywayFiles(sources []source) ([]*file, error) {
	var all []*file
	downs, settings := map[string]source{}, map[string]string{}
	for _, s := range sources {
		switch m := flywayName.FindStringSubmatch(s.name); {
		case flywayRepeated.MatchString(s.name):
			return nil, fmt.Errorf("%s is repeatable: it has no version, is applied again whenever it changes and has no way down; give what it does a version", s.path)
		case flywayCallback.MatchString(s.name):
			return nil, fmt.Errorf("%s is a callback, which only Flyway calls", s.path)
		case path.Ext(s.name) == ".conf":
			settings[strings.TrimSuffix(s.name, ".conf")] = s.text
		case m == nil:
		case m[1] == "B":
			return nil, fmt.Errorf("%s is a baseline migration, which only Flyway can choose between", s.path)
		case m[1] == "U":
			downs[dotted(m[2])] = s
		default:
			all = append(all, flywayFile(s, m[2], m[3]))
		}
	}
	for _, f := range all {
		f.up.alone = flywayAlone.MatchString(settings[f.script])
		s, ok := downs[f.version]
		if !ok {
			f.whyNot = "there is no U" + f.raw + "__….sql"
			continue
		}
		down := flywayPart(s)
		down.alone = flywayAlone.MatchString(settings[s.name])
		f.down = &down
		delete(downs, f.version)
	}
	for _, version := range slices.Sorted(maps.Keys(downs)) {
		return nil, fmt.Errorf("%s has no way up beside it", downs[version].path)
	}
	return all, nil
}

func flywayFile(s source, raw, description string) *file {
	return &file{
		id: s.stem(), path: s.path, checksum: checksum(s.text), version: dotted(raw), up: flywayPart(s),
		raw: strings.ReplaceAll(raw, "_", "."), description: strings.ReplaceAll(description, "_", " "), script: s.name, crc: flywayChecksum(s.text),
	}
}

func flywayPart(s source) part {
	p := wholeFile(s)
	if found := flywayPlaceholder.FindString(s.text); found != "" {
		p.refused = fmt.Sprintf("it holds %s, a placeholder that only Flyway replaces", found)
	}
	return p
}

// flywayChecksum is CRC-32 over the lines without their ends, as Flyway has it.
func flywayChecksum(text string) int32 {
	text = strings.TrimPrefix(text, "\ufeff")
	sum := crc32.NewIEEE()
	for _, line := range strings.FieldsFunc(strings.ReplaceAll(text, "\r\n", "\n"), func(r rune) bool { return r == '\n' || r == '\r' }) {
		_, _ = sum.Write([]byte(line)) // a hash never fails; empty lines add nothing
	}
	return int32(sum.Sum32()) //nolint:gosec // Flyway keeps the same 32 bits with a sign
}

// dotted spells a version in one way: 1_02 and 1.2 are the same.
func dotted(raw string) string {
	parts := strings.FieldsFunc(raw, func(r rune) bool { return r == '.' || r == '_' })
	for i, p := range parts {
		parts[i] = number(p)
	}
	for len(parts) > 1 && parts[len(parts)-1] == "0" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ".")
}

func compareDotted(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(as) || i < len(bs); i++ {
		x, y := "0", "0"
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}
