package sqlfiles

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// A convention is how one tool names its files, marks their parts and keeps
// its history.
type convention struct {
	name    string
	table   string // of the history, unless set otherwise
	claims  func(source) bool
	files   func([]source) ([]*file, error)
	compare func(a, b string) int // versions
	version func(id string) string
	history func(table, dialect string) history
	single  bool // its history is one version, up to which everything is applied
	write   func(version string, d migrate.Draft) []migrate.File
}

// conventions returns all of them; those told by a file's name come first.
func conventions() []*convention {
	return []*convention{flyway(), golangMigrate(), goose(), dbmate()}
}

func conventionNamed(name string) (*convention, error) {
	var known []string
	for _, c := range conventions() {
		if c.name == name {
			return c, nil
		}
		known = append(known, c.name)
	}
	return nil, ship.Errorf(ship.Invalid, "leave migrations.convention out to find it out from the files",
		"convention %q is unknown, known are %s", name, strings.Join(known, ", "))
}

var numbered = regexp.MustCompile(`^([0-9]+)_?.*\.(sql|go)$`)

// number returns the number a name begins with, without leading zeros, or "".
func number(name string) string {
	end := 0
	for end < len(name) && name[end] >= '0' && name[end] <= '9' {
		end++
	}
	if end == 0 {
		return ""
	}
	if n := strings.TrimLeft(name[:end], "0"); n != "" {
		return n
	}
	return "0"
}

// compareNumbers compares decimal numbers of any length.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// fits64 refuses versions the history table cannot hold.
func fits64(path, version string) error {
	if compareNumbers(version, "9223372036854775807") > 0 {
		return fmt.Errorf("the version of %s is too large", path)
	}
	return nil
}
