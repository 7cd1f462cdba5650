package demo

import (
	"fmt"
	"io"
	"strings"
)

// A Summary is what the demonstration showed. Its JSON form is one object that
// other programs read: its keys do not change.
type Summary struct {
	Deployments int     `json:"deployments"` // begun
	Requests    int64   `json:"requests"`    // sent by the load generator
	Lost        int64   `json:"lost"`        // not answered as the serving release would have
	Rollbacks   int     `json:"rollbacks"`
	Refused     int     `json:"refused"`
	Claims      []Claim `json:"claims"`

	details []string // of the claims, for people
}

// A Claim is one promise and whether it was kept.
type Claim struct {
	Claim string `json:"claim"`
	Held  bool   `json:"held"`
}

// Held tells whether every claim held.
func (s Summary) Held() bool {
	for _, c := range s.Claims {
		if !c.Held {
			return false
		}
	}
	return len(s.Claims) > 0
}

func (s *Summary) claim(held bool, claim, detail string, args ...any) {
	s.Claims = append(s.Claims, Claim{claim, held})
	s.details = append(s.details, fmt.Sprintf(detail, args...))
}

// WriteTable writes the claims for people: a word, the claim, and the numbers.
func (s Summary) WriteTable(w io.Writer) error {
	width := 0
	for _, c := range s.Claims {
		width = max(width, len([]rune(c.Claim)))
	}
	var b strings.Builder
	for i, c := range s.Claims {
		word := "held  "
		if !c.Held {
			word = "BROKEN"
		}
		detail := ""
		if i < len(s.details) {
			detail = s.details[i]
		}
		fmt.Fprintf(&b, "  %s  %s%s  %s\n", word, c.Claim, strings.Repeat(" ", width-len([]rune(c.Claim))), detail)
	}
	fmt.Fprintf(&b, "\n%d deployments, %d requests, %d lost, %d rolled back, %d refused\n",
		s.Deployments, s.Requests, s.Lost, s.Rollbacks, s.Refused)
	_, err := io.WriteString(w, b.String())
	return err
}
