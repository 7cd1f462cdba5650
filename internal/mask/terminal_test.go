package mask_test

import (
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/shiplock/shiplock/internal/mask"
)

func TestA56NothingThatActsOnATerminalIsLeftOfALog(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"cursor and clear", "a\x1b[2J\x1b[1;1Hb\x1b[?25l", "ab"},
		{"OSC 0, title, BEL", "\x1b]0;title\x07text", "text"},
		{"OSC 8, link", "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"},
		{"OSC 52, clipboard", "a\x1b]52;c;cm0gLXJmIC8K\x07b", "ab"},
		{"C1 CSI", "a\u009b31mb", "ab"},
		{"C1 OSC", "a\u009d52;c;eA==\u009cb", "ab"},
		{"raw C1 byte", "a\x9b31mb", "a\ufffd31mb"},
		{"DCS, PM, APC", "a\x1bPq#0\x1b\\b\x1b^x\x1b\\c\x1b_y\x1b\\d", "abcd"},
		{"charset and reset", "a\x1b(Bb\x1bcd\x1b#8e", "abde"},
		{"controls", "a\x00b\x07c\x08d\x0be\x0cf\x7fg\x9f", "abcdefg\ufffd"},
		{"carriage return", "progress 10%\rprogress 20%\r\n", "progress 10%progress 20%\n"},
		{"newline and tab stay", "a\tb\nc", "a\tb\nc"},
		{"string without end gives up at its line", "a\x1b]52;c;xxxx\nb", "a\nb"},
		{"CSI without end gives up at its line", "a\x1b[12\nb", "a\nb"},
		{"ESC in a string begins another", "\x1b]0;x\x1b[31mred", "red"},
		{"cancelled", "\x1b[3\x18ok \x1b]0;\x1aok", "ok ok"},
		{"direction", "user\u202e txt.exe\u2066 \u200f", "user txt.exe "},
		{"text of every kind", "ünï 漢字 🚢", "ünï 漢字 🚢"},
	} {
		if got := mask.Terminal(tt.in); got != tt.want {
			t.Errorf("%s: Terminal(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
		var out strings.Builder
		w := mask.TerminalWriter(&out)
		for i := range len(tt.in) {
			_, _ = io.WriteString(w, tt.in[i:i+1])
		}
		if _ = w.Close(); out.String() != tt.want {
			t.Errorf("%s: byte by byte %q, want %q", tt.name, out.String(), tt.want)
		}
	}
}

func FuzzTerminal(f *testing.F) {
	f.Add([]byte("a\x1b]52;c;eA==\x07b\u009b31m\x9b"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := mask.Terminal(string(in))
		if !utf8.ValidString(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		for _, r := range out {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("%U is left of %q", r, in)
			}
		}
	})
}
