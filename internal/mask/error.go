package mask

import (
	"errors"
	"fmt"
	"io"

	"github.com/shiplock/shiplock/internal/ship"
)

// Error returns err with its text masked. The chain can still be asked with
// errors.Is and errors.As, but nothing that prints the result finds the text
// of the original; a [ship.Error] found in it is masked as well.
func (m *Masker) Error(err error) error {
	if err == nil {
		return nil
	}
	return &masked{masker: m, text: m.String(err.Error()), err: err}
}

// masked has no Unwrap: who walks the chain to print it would undo the mask.
type masked struct {
	masker *Masker
	text   string
	err    error
}

func (e *masked) Error() string { return e.text }

func (e *masked) Is(target error) bool { return errors.Is(e.err, target) }

func (e *masked) As(target any) bool {
	if !errors.As(e.err, target) {
		return false
	}
	if found, ok := target.(**ship.Error); ok {
		original := *found
		*found = &ship.Error{
			Kind: original.Kind,
			Hint: e.masker.String(original.Hint),
			Err:  e.masker.Error(original.Err),
		}
	}
	return true
}

// Format keeps %#v and its like from showing the original.
func (e *masked) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", e.text)
		return
	}
	_, _ = io.WriteString(f, e.text)
}
