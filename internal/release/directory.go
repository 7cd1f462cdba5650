package release

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	maxExtra      = 64
	endSize       = 22
	locator64Size = 20
	end64Size     = 56
)

// checkDirectory finds where the directory begins and reads it with bounded
// memory. archive/zip reads as many entries as there are, whatever the file
// says their number is, so they are counted before it sees them.
func checkDirectory(r io.ReaderAt, size int64, l Limits) (start int64, err error) {
	start, end, records, err := findDirectory(r, size)
	if err != nil {
		return 0, err
	}
	if records > uint64(l.Files)+1 {
		return 0, refuse("it has %d files, %d are allowed", records, l.Files)
	}
	if start < 0 || start > end || end > size {
		return 0, refuse("its directory is not where it says")
	}
	in := bufio.NewReader(io.NewSectionReader(r, start, end-start))
	var counted uint64
	for left := end - start; left > 0; counted++ {
		if counted == records {
			return 0, refuse("its directory is longer than it says")
		}
		n, err := skipRecord(in, l)
		if err != nil {
			return 0, err
		}
		left -= n
	}
	if counted != records {
		return 0, refuse("it says it has %d entries and has %d", records, counted)
	}
	return start, nil
}

func skipRecord(in *bufio.Reader, l Limits) (int64, error) {
	var head [46]byte
	if _, err := io.ReadFull(in, head[:]); err != nil || !bytes.HasPrefix(head[:], []byte("PK\x01\x02")) {
		return 0, refuse("its directory is damaged")
	}
	name := int(binary.LittleEndian.Uint16(head[28:]))
	extra := int(binary.LittleEndian.Uint16(head[30:]))
	comment := int(binary.LittleEndian.Uint16(head[32:]))
	if name > l.Path || extra > maxExtra || comment > 0 {
		return 0, refuse("an entry has a name of %d, extra data of %d and a comment of %d bytes; %d, %d and 0 are allowed",
			name, extra, comment, l.Path, maxExtra)
	}
	n, err := in.Discard(name + extra)
	if err != nil {
		return 0, refuse("its directory is damaged")
	}
	return int64(len(head) + n), nil
}

// findDirectory reads the end record, which has to be the very end of the
// file, and its 64-bit form when there is one.
func findDirectory(r io.ReaderAt, size int64) (start, end int64, records uint64, err error) {
	var b [end64Size + locator64Size + endSize]byte
	tail := b[max(0, int64(len(b))-size):]
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return 0, 0, 0, fmt.Errorf("read archive: %w", err)
	}
	last := b[end64Size+locator64Size:]
	if size < endSize || !bytes.HasPrefix(last, []byte("PK\x05\x06\x00\x00\x00\x00")) || last[20] != 0 || last[21] != 0 {
		return 0, 0, 0, refuse("it is cut short or is not a zip that shiplock packed")
	}
	records = uint64(binary.LittleEndian.Uint16(last[10:]))
	length := int64(binary.LittleEndian.Uint32(last[12:]))
	start = int64(binary.LittleEndian.Uint32(last[16:]))
	end = size - endSize
	if bytes.HasPrefix(b[end64Size:], []byte("PK\x06\x07")) {
		if size < int64(len(b)) || !bytes.HasPrefix(b[:], []byte("PK\x06\x06")) || start != 1<<32-1 {
			return 0, 0, 0, refuse("its end is damaged")
		}
		end = size - int64(len(b))
		records = binary.LittleEndian.Uint64(b[32:])
		length = int64(binary.LittleEndian.Uint64(b[40:]))
		start = int64(binary.LittleEndian.Uint64(b[48:]))
		if int64(binary.LittleEndian.Uint64(b[end64Size+8:])) != end {
			return 0, 0, 0, refuse("its end is damaged")
		}
	}
	if length != end-start {
		return 0, 0, 0, refuse("its directory is not where it says")
	}
	return start, end, records, nil
}
