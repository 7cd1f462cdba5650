package sqlfiles

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	dbmateUp   = regexp.MustCompile(`(?m)^--[ \t]*migrate:up([ \t\r]*$|[ \t].*$)`)
	dbmateDown = regexp.MustCompile(`(?m)^--[ \t]*migrate:down([ \t\r]*$|[ \t].*$)`)
	pairName   = regexp.MustCompile(`^([0-9]+)_(.*)\.(up|down)\.sql$`)
)

// dbmate keeps NNN_name.sql with both ways in one file; versions are text.
func dbmate() *convention {
	digits := func(id string) string { return id[:len(id)-len(strings.TrimLeft(id, "0123456789"))] }
	return &convention{
		name: "dbmate", table: "schema_migrations",
		claims: func(s source) bool { return number(s.name) != "" && dbmateUp.MatchString(s.text) },
		files: func(sources []source) ([]*file, error) {
			var all []*file
			for _, s := range sources {
				if number(s.name) == "" || path.Ext(s.name) != ".sql" {
					continue
				}
				f, err := dbmateFile(s)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.path, err)
				}
				f.version = digits(s.name)
				all = append(all, f)
			}
			return all, nil
		},
		compare: strings.Compare,
		version: digits,
		history: func(table, dialect string) history { return &dbmateHistory{table: table, dialect: dialect} },
		write:   writeDbmate,
	}
}

func dbmateFile(s source) (*file, error) {
	up, down := dbmateUp.FindStringIndex(s.text), dbmateDown.FindStringIndex(s.text)
	if up == nil {
		return nil, fmt.Errorf("there is no -- migrate:up")
	}
	for _, line := range strings.Split(s.text[:up[0]], "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") && line != "\ufeff" {
			return nil, fmt.Errorf("something comes before -- migrate:up")
		}
	}
	f := &file{id: s.stem(), path: s.path, checksum: checksum(s.text), whyNot: s.path + " has no -- migrate:down"}
	end := len(s.text)
	if down != nil {
		if down[0] < up[0] {
			return nil, fmt.Errorf("-- migrate:down comes before -- migrate:up")
		}
		end = down[0]
		f.whyNot = ""
		f.down = &part{
			path: s.path, source: s.text, text: s.text[end:], segments: []segment{{start: end, end: len(s.text)}},
			alone: dbmateAlone(s.text[down[0]:down[1]]),
		}
	}
	f.up = part{
		path: s.path, source: s.text, text: s.text[:end], segments: []segment{{start: 0, end: end}},
		alone: dbmateAlone(s.text[up[0]:up[1]]),
	}
	return f, nil
}

// dbmateAlone tells whether a marker asks for no transaction.
func dbmateAlone(marker string) bool {
	for _, option := range strings.Fields(marker) {
		if option == "transaction:false" {
			return true
		}
	}
	return false
}

// golangMigrate keeps N_name.up.sql and N_name.down.sql.
func golangMigrate() *convention {
	return &convention{
		name: "golang-migrate", table: "schema_migrations", single: true,
		claims:  func(s source) bool { return pairName.MatchString(s.name) },
		files:   pairFiles,
		compare: compareNumbers,
		version: number,
		history: func(table, dialect string) history { return &pairHistory{table: table, dialect: dialect} },
		write:   writePair,
	}
}

func pairFiles(sources []source) ([]*file, error) {
	var all []*file
	downs := map[string]source{}
	for _, s := range sources {
		m := pairName.FindStringSubmatch(s.name)
		if m == nil {
			continue
		}
		version := number(s.name)
		if err := fits64(s.path, version); err != nil {
			return nil, err
		}
		if m[3] == "down" {
			if other, ok := downs[version]; ok {
				return nil, fmt.Errorf("%s and %s have the same version", other.path, s.path)
			}
			downs[version] = s
			continue
		}
		all = append(all, &file{id: strings.TrimSuffix(s.name, ".up.sql"), path: s.path, checksum: checksum(s.text), version: version, up: wholeFile(s)})
	}
	for _, f := range all {
		if s, ok := downs[f.version]; ok {
			down := wholeFile(s)
			f.down = &down
			delete(downs, f.version)
		} else {
			f.whyNot = "there is no " + f.id + ".down.sql"
		}
	}
	for _, version := range slices.Sorted(maps.Keys(downs)) {
		return nil, fmt.Errorf("%s has no way up beside it", downs[version].path)
	}
	return all, nil
}

// wholeFile is a part that is all of a file.
func wholeFile(s source) part {
	return part{path: s.path, source: s.text, text: s.text, segments: []segment{{start: 0, end: len(s.text)}}}
}
