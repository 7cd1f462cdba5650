package migrate

import (
	"io"
	"io/fs"

	"github.com/shiplock/shiplock/internal/ship"
)

// The limits on what is read of a release.
const (
	MaxFile  = 1 << 20 // bytes of a file
	MaxFiles = 20000   // migrations
)

// ReadFile returns the text of a file in a tree, no longer than [MaxFile].
func ReadFile(tree fs.FS, name string) (string, error) {
	f, err := tree.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > MaxFile {
		return "", ship.Errorf(ship.Invalid, "", "a file of more than %d bytes", MaxFile)
	}
	return string(text), nil
}

// Order puts every migration after those it needs, as far as they are there,
// and otherwise keeps the order it is given.
func Order(found []ship.Migration, hints OrderHints) ([]ship.Migration, error) {
	o := orderer{found: found, byID: make(map[string]int, len(found)), mark: make([]mark, len(found)), hints: hints}
	for i, m := range found {
		if first, twice := o.byID[m.ID]; twice {
			return nil, ship.Errorf(ship.Invalid, hints.Twice, "migration %s is there twice: %s and %s", m.ID, found[first].File, m.File)
		}
		o.byID[m.ID] = i
	}
	for i := range found {
		if err := o.visit(i); err != nil {
			return nil, err
		}
	}
	return o.ordered, nil
}

// OrderHints say what to do about what [Order] refuses.
type OrderHints struct{ Twice, Circle string }

// A mark tells how far the walk has come with a migration.
type mark int

const (
	fresh mark = iota
	open
	done
)

// An orderer walks migrations depth first.
type orderer struct {
	found   []ship.Migration
	byID    map[string]int
	mark    []mark
	hints   OrderHints
	ordered []ship.Migration
}

func (o *orderer) visit(i int) error {
	switch o.mark[i] {
	case done:
		return nil
	case open:
		return ship.Errorf(ship.Invalid, o.hints.Circle, "migration %s depends on itself", o.found[i].ID)
	}
	o.mark[i] = open
	for _, need := range o.found[i].Needs {
		if j, ok := o.byID[need]; ok {
			if err := o.visit(j); err != nil {
				return err
			}
		}
	}
	o.mark[i] = done
	o.ordered = append(o.ordered, o.found[i])
	return nil
}
