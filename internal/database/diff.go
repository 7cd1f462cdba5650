package database

import (
	"cmp"
	"slices"
)

// Sort puts the objects into the order [Catalog] promises.
func (c *Catalog) Sort() { slices.SortFunc(c.Objects, compare) }

func compare(a, b Object) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Text, b.Text))
}

// Diff returns what must change in a to become b, sorted by kind and name. An
// object of kind "order" is the order of a table's columns: who does not care
// for it leaves that kind out.
func Diff(a, b *Catalog) []Difference {
	var out []Difference
	i, j := 0, 0
	for i < len(a.Objects) || j < len(b.Objects) {
		switch c := side(a.Objects[i:], b.Objects[j:]); {
		case c < 0:
			o := a.Objects[i]
			out = append(out, Difference{Kind: o.Kind, Name: o.Name, Before: o.Text})
			i++
		case c > 0:
			o := b.Objects[j]
			out = append(out, Difference{Kind: o.Kind, Name: o.Name, After: o.Text})
			j++
		default:
			before, after := a.Objects[i], b.Objects[j]
			if before.Text != after.Text {
				out = append(out, Difference{Kind: after.Kind, Name: after.Name, Before: before.Text, After: after.Text})
			}
			i, j = i+1, j+1
		}
	}
	return out
}

// side tells which of two sorted lists begins with the object that comes
// first: negative for a, positive for b, zero when they begin with the same.
func side(a, b []Object) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return cmp.Or(cmp.Compare(a[0].Kind, b[0].Kind), cmp.Compare(a[0].Name, b[0].Name))
}
