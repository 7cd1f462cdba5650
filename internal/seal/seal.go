// Package seal encrypts streams: backups and whatever else leaves the machine
// or rests on its disk. It knows AES-256-GCM in segments and the files' header;
// it refuses to know what is sealed, and it has no way to read a part of a
// stream whose key is wrong.
package seal

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	tink "github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"github.com/shiplock/shiplock/internal/ship"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// A sealed stream is magic, version, key id, and then the segments. The whole
// header is additional data of every segment, so that none of it can be
// exchanged. The key id is what tells a wrong key from a damaged file.
const (
	magic       = "shiplock seal\n"
	version     = 1
	keyIDSize   = 8
	headerSize  = len(magic) + 1 + keyIDSize
	segmentSize = 1 << 20
	tagSize     = 16 // of a segment, which may hold nothing else
)

// NewWriter returns a writer that seals what is written to it into w. The
// stream is complete only after Close, which does not close w: without it a
// reader reports the stream as cut short.
func NewWriter(w io.Writer, key []byte) (io.WriteCloser, error) {
	aead, head, err := prepare(key)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("write seal header: %w", err)
	}
	sealed, err := aead.NewEncryptingWriter(w, head)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// NewReader returns a reader of what was sealed into r. Another key than the
// writer's fails here. A changed, shortened or lengthened stream fails in Read
// at the latest before io.EOF, so what was read may be acted on only after
// io.EOF.
func NewReader(r io.Reader, key []byte) (io.Reader, error) {
	aead, want, err := prepare(key)
	if err != nil {
		return nil, err
	}
	source := &tracker{r: r}
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(source, head); err != nil {
		if source.err != nil {
			return nil, fmt.Errorf("read seal header: %w", source.err)
		}
		return nil, damaged("it ends within its header")
	}
	if err := checkHeader(head, want); err != nil {
		return nil, err
	}
	plain, err := aead.NewDecryptingReader(source, head)
	if err != nil {
		if source.err != nil {
			return nil, fmt.Errorf("read sealed data: %w", source.err)
		}
		return nil, damaged("it ends within its first segment")
	}
	return &reader{plain: plain, source: source, least: int64(headerSize + aead.HeaderLength() + tagSize)}, nil
}

func prepare(key []byte) (*tink.AESGCMHKDF, []byte, error) {
	if len(key) != KeySize {
		return nil, nil, ship.Errorf(ship.Invalid, "use the key file of the installation",
			"a seal key has %d bytes, this one has %d", KeySize, len(key))
	}
	aead, err := tink.NewAESGCMHKDF(key, "SHA256", KeySize, segmentSize, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	sum := sha256.Sum256(append([]byte("shiplock seal key id\x00"), key...))
	head := append([]byte(magic), version)
	return aead, append(head, sum[:keyIDSize]...), nil
}

func checkHeader(head, want []byte) error {
	if !bytes.HasPrefix(head, []byte(magic)) {
		return ship.Errorf(ship.Invalid, "check that the file is one shiplock wrote", "this is not sealed data")
	}
	if v := head[len(magic)]; v != version {
		return ship.Errorf(ship.Invalid, "use the version of shiplock that wrote it, or a newer one",
			"sealed data has format %d, this program reads format %d", v, version)
	}
	if subtle.ConstantTimeCompare(head, want) != 1 {
		return ship.Errorf(ship.Invalid, "use the key it was sealed with; nothing was read",
			"sealed with another key (id %x, this key's id is %x)", head[headerSize-keyIDSize:], want[headerSize-keyIDSize:])
	}
	return nil
}

func damaged(how string) error {
	return ship.Errorf(ship.Invalid, "use another copy; what was read of this one must not be used",
		"sealed data is damaged or cut short: %s", how)
}

// A tracker remembers why its source failed, since the decryption reports a
// disk that failed and a byte that was changed alike.
type tracker struct {
	r   io.Reader
	n   int64 // bytes read
	err error
}

func (t *tracker) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

type reader struct {
	plain  io.Reader
	source *tracker
	least  int64 // bytes of the shortest whole stream
	failed error
}

// Read implements io.Reader. A failure is final.
func (r *reader) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	n, err := r.plain.Read(p)
	switch {
	case err == nil || err == io.EOF && r.whole():
		return n, err
	case r.source.err != nil:
		r.failed = fmt.Errorf("read sealed data: %w", r.source.err)
	default:
		r.failed = damaged("a segment does not carry its seal")
	}
	return 0, r.failed
}

// whole tells, at the end of the stream, that its last segment was seen. The
// library marks the last segment and looks one byte ahead to know it, but it
// takes an end right after that byte, or before the first segment, for a good
// one (tink-go 2.7.0). Neither leaves a length that a whole stream can have.
func (r *reader) whole() bool {
	rest := (r.source.n - int64(headerSize)) % segmentSize
	return r.source.n >= r.least && (rest == 0 || rest >= tagSize)
}
