// Package mask removes from text what must not be seen: secrets, also in the
// encodings they commonly travel in, and control sequences that would act on a
// reader's terminal. It knows nothing of where secrets come from or where text
// goes.
//
// Foreign text goes through [Terminal] first and through a [Masker] after it,
// so that an escape sequence in the middle of a secret does not hide it.
package mask

import (
	"bytes"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Stars stands where a secret was.
const Stars = "***"

// minSecret is the length in bytes below which a text is not masked: it would
// make other text unreadable, and the stars would tell what it is.
const minSecret = 4

// maxPattern bounds what a Writer holds back. A longer secret is masked piece
// by piece.
const maxPattern = 4096

// A Masker replaces secrets in text. It does not change and may be used by
// many goroutines.
type Masker struct {
	patterns [][]byte             // sorted, no two the same
	byPrefix map[[4]byte][][]byte // those that begin so, longest first
	first    [256]bool            // whether a pattern begins with the byte
	longest  int
}

// New returns a Masker for secrets. Each line of a secret of several lines is
// masked by itself too, and so is the password of a secret that is a URL.
func New(secrets ...ship.Secret) *Masker {
	m := &Masker{byPrefix: map[[4]byte][][]byte{}}
	seen := map[string]bool{}
	for _, secret := range secrets {
		for _, text := range parts(secret.Reveal()) {
			for _, form := range forms(text) {
				for piece := range slices.Chunk([]byte(form), maxPattern) {
					if len(piece) >= minSecret && !seen[string(piece)] {
						seen[string(piece)] = true
						m.patterns = append(m.patterns, piece)
					}
				}
			}
		}
	}
	slices.SortFunc(m.patterns, bytes.Compare)
	for _, p := range m.patterns {
		prefix := [4]byte(p)
		m.byPrefix[prefix] = append(m.byPrefix[prefix], p)
		m.first[p[0]] = true
		m.longest = max(m.longest, len(p))
	}
	for _, list := range m.byPrefix {
		slices.SortFunc(list, func(a, b []byte) int { return len(b) - len(a) })
	}
	return m
}

// String returns s with stars for every secret in it.
func (m *Masker) String(s string) string {
	if len(m.patterns) == 0 {
		return s
	}
	var b strings.Builder
	w := m.Writer(&b)
	_, _ = w.Write([]byte(s)) // a strings.Builder takes everything
	_ = w.Close()
	return b.String()
}

// match returns the length of the longest secret that b begins with, or 0.
func (m *Masker) match(b []byte) int {
	if len(b) < minSecret || !m.first[b[0]] {
		return 0
	}
	for _, p := range m.byPrefix[[4]byte(b)] {
		if bytes.HasPrefix(b, p) {
			return len(p)
		}
	}
	return 0
}

// held returns how many bytes at the end of b may be the beginning of a secret
// whose rest has not come yet.
func (m *Masker) held(b []byte) int {
	for i := max(0, len(b)-m.longest+1); i < len(b); i++ {
		if m.first[b[i]] && m.begins(b[i:]) != nil {
			return len(b) - i
		}
	}
	return 0
}

// begins returns a secret that is longer than b and begins with it, or nil.
func (m *Masker) begins(b []byte) []byte {
	i, found := slices.BinarySearchFunc(m.patterns, b, bytes.Compare)
	if found {
		i++
	}
	if i < len(m.patterns) && bytes.HasPrefix(m.patterns[i], b) {
		return m.patterns[i]
	}
	return nil
}
