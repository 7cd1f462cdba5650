package ship

import "log/slog"

// A Secret is a value that must never be printed. Every way of formatting it
// yields "***"; Reveal is the only way to its text, so that a search for
// Reveal finds every place a secret leaves the program.
type Secret struct{ text string }

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret's text.
func (s Secret) Reveal() string { return s.text }

// String returns "***".
func (Secret) String() string { return "***" }

// GoString returns "***".
func (Secret) GoString() string { return "***" }

// MarshalJSON encodes "***".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// LogValue logs "***".
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }
