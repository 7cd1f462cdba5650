package proxy

import (
	"encoding/binary"
	"math/rand/v2"
)

// The parts of a WebSocket frame (RFC 6455, 5.2) that its length takes.
const (
	frameFinal   = 0x80
	frameMasked  = 0x80
	frameControl = 0x08 // bit of the opcodes 8 to 15
	frameClose   = 0x08

	// goingAway is the status of a server that leaves.
	goingAway = 1001
)

// frames follows one direction of a WebSocket just far enough to know where a
// message ends. It keeps no payload. A length that cannot be makes it lose its
// way for good: then there is no boundary any more.
type frames struct {
	head   [14]byte
	have   int    // bytes of head
	left   uint64 // bytes of payload still to come
	opcode byte   // of the frame in head

	fragmented bool // a message was begun and its last frame has not come
	closed     bool // the peer's Close frame has begun
	lost       bool
}

// between tells whether the next byte begins a message or a control frame of
// its own, so that a frame of ours may come here.
func (f *frames) between() bool { return f.have == 0 && f.left == 0 && !f.fragmented && !f.lost }

// advance follows p. It returns the last place in p where a frame of ours may
// come, which is 0 when only its begin is one, and -1 when there is none; and
// the place where a Close frame of the peer begins, or -1.
func (f *frames) advance(p []byte) (edge, closing int) {
	edge, closing = -1, -1
	for i := 0; i < len(p) && !f.lost; {
		if f.between() {
			edge = i
		}
		if f.left > 0 {
			n := min(f.left, uint64(len(p)-i))
			f.left -= n
			i += int(n)
			continue
		}
		if f.have == 0 && p[i]&0x0f == frameClose && closing < 0 && !f.closed {
			closing, f.closed = i, true
		}
		f.head[f.have] = p[i]
		f.have++
		i++
		f.begin()
	}
	if f.between() {
		edge = len(p)
	}
	return edge, closing
}

// begin begins the payload when the head is whole.
func (f *frames) begin() {
	if f.have < 2 {
		return
	}
	need, short := 2, f.head[1]&0x7f
	switch short {
	case 126:
		need = 4
	case 127:
		need = 10
	}
	if f.head[1]&frameMasked != 0 {
		need += 4
	}
	if f.have < need {
		return
	}
	f.left = uint64(short)
	switch short {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	}
	f.opcode, f.have = f.head[0]&0x0f, 0
	final := f.head[0]&frameFinal != 0
	if f.opcode&frameControl == 0 {
		f.fragmented = !final
	}
	f.lost = f.left>>63 != 0 || f.opcode&frameControl != 0 && (short > 125 || !final)
}

// farewell is the Close frame of a server that leaves. Frames to the
// application have a mask, as every client's have.
func farewell(masked bool) []byte {
	status := []byte{goingAway >> 8, goingAway & 0xff}
	if !masked {
		return append([]byte{frameFinal | frameClose, byte(len(status))}, status...)
	}
	key := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	for i := range status {
		status[i] ^= key[i]
	}
	return append(append([]byte{frameFinal | frameClose, frameMasked | byte(len(status))}, key...), status...)
}
