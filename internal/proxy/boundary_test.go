package proxy_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/shiplock/shiplock/internal/proxy"
)

// frame makes a frame with a payload of n bytes.
func frame(first byte, n int, masked bool) []byte {
	var head []byte
	switch {
	case n < 126:
		head = []byte{first, byte(n)}
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(n))
	default:
		head = binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(n))
	}
	if masked {
		head[1] |= 0x80
		head = append(head, 1, 2, 3, 4)
	}
	return append(head, bytes.Repeat([]byte{0x88}, n)...)
}

func TestABoundaryOfAWebSocketIsWhereAMessageIsWhole(t *testing.T) {
	for _, masked := range []bool{false, true} {
		var stream []byte
		var edges []int
		add := func(whole bool, p []byte) {
			stream = append(stream, p...)
			if whole {
				edges = append(edges, len(stream))
			}
		}
		add(true, frame(0x81, 0, masked))
		add(true, frame(0x82, 125, masked))
		add(true, frame(0x82, 126, masked))
		add(true, frame(0x81, 70000, masked))
		add(false, frame(0x01, 5, masked)) // a message in three parts
		add(false, frame(0x00, 5, masked))
		add(false, frame(0x89, 4, masked)) // a ping between them
		add(true, frame(0x80, 300, masked))
		add(true, frame(0x8a, 0, masked))
		whole := map[int]bool{0: true}
		for _, e := range edges {
			whole[e] = true
		}
		f := proxy.NewFrames()
		for i := range stream {
			if f.Between() != whole[i] {
				t.Fatalf("masked %v: at byte %d between is %v", masked, i, f.Between())
			}
			f.Advance(stream[i : i+1])
		}
		if !f.Between() {
			t.Error("the end is no boundary")
		}
		f = proxy.NewFrames()
		if edge, closing := f.Advance(append(stream, 0x81)); edge != len(stream) || closing != -1 {
			t.Errorf("edge %d, closing %d", edge, closing)
		}
		f = proxy.NewFrames()
		if _, closing := f.Advance(append(stream, 0x88, 0)); closing != len(stream) {
			t.Errorf("the Close frame is found at %d, want %d", closing, len(stream))
		}
	}
}

func TestAFrameThatCannotBeHasNoBoundaryAfterIt(t *testing.T) {
	for name, p := range map[string][]byte{
		"a length with the highest bit":    {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"a long control frame":             append([]byte{0x89, 126, 0, 126}, make([]byte, 126)...),
		"a control frame in several parts": {0x09, 0},
	} {
		f := proxy.NewFrames()
		f.Advance(p)
		if f.Between() {
			t.Errorf("%s: a boundary follows", name)
		}
	}
}

// FuzzFrames cuts a stream in pieces in two ways, which must not matter.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i', 0x88, 2, 3, 0xe9}, uint8(3))
	f.Add(frame(0x82, 300, true), uint8(7))
	f.Add([]byte{0x01, 1, 'a', 0x80, 1, 'b', 0x81}, uint8(1))
	f.Fuzz(func(t *testing.T, p []byte, piece uint8) {
		whole, pieces := proxy.NewFrames(), proxy.NewFrames()
		edge, closing := whole.Advance(p)
		lastEdge, firstClose := -1, -1
		for at := 0; at < len(p); at += int(piece) + 1 {
			end := min(at+int(piece)+1, len(p))
			e, c := pieces.Advance(p[at:end])
			if e >= 0 {
				lastEdge = at + e
			}
			if c >= 0 && firstClose < 0 {
				firstClose = at + c
			}
		}
		if len(p) > 0 && (edge != lastEdge || closing != firstClose) {
			t.Errorf("at once: edge %d, closing %d; in pieces: %d, %d", edge, closing, lastEdge, firstClose)
		}
		if whole.Between() != pieces.Between() || whole.Between() != (edge == len(p)) {
			t.Errorf("between: %v at once, %v in pieces, edge %d of %d", whole.Between(), pieces.Between(), edge, len(p))
		}
	})
}

func TestABoundaryOfAnEventStreamIsAfterAnEmptyLine(t *testing.T) {
	for stream, want := range map[string]int{
		"":                          0,
		"data: a":                   0,
		"data: a\n":                 0,
		"data: a\n\n":               9,
		"data: a\r\n\r\n":           11,
		"data: a\r\rdata":           9,
		"data: a\n\n: ping\n":       16,
		": ping":                    0,
		"data: a\n: ping\n":         0,
		"data: a\n\ndata: b\nid: 1": 9,
		"\n\n\n":                    3,
	} {
		if got := proxy.EventEdge(stream); got != want {
			t.Errorf("%q: the last boundary is at %d, want %d", stream, got, want)
		}
	}
}

// FuzzEvents cuts a stream in pieces in two ways, which must not matter.
func FuzzEvents(f *testing.F) {
	f.Add("data: a\r\n\r\n: ping\n\ndata", uint8(1))
	f.Fuzz(func(t *testing.T, s string, piece uint8) {
		var pieces []string
		for at := 0; at < len(s); at += int(piece) + 1 {
			pieces = append(pieces, s[at:min(at+int(piece)+1, len(s))])
		}
		if once, many := proxy.EventEdge(s), proxy.EventEdge(pieces...); len(s) > 0 && once != many {
			t.Errorf("at once %d, in pieces %d", once, many)
		}
	})
}
