package database

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/shiplock/shiplock/internal/seal"
)

// A CopyWriter encrypts what is written to it and measures the result.
type CopyWriter struct {
	meter  *meter
	sealed io.WriteCloser
}

// NewCopyWriter returns a CopyWriter that writes to w and tells progress, if
// it is not nil, how many encrypted bytes were written so far.
func NewCopyWriter(w io.Writer, key []byte, progress func(int64)) (*CopyWriter, error) {
	m := &meter{w: w, sum: sha256.New(), progress: progress}
	sealed, err := seal.NewWriter(m, key)
	if err != nil {
		return nil, fmt.Errorf("encrypt copy: %w", err)
	}
	return &CopyWriter{meter: m, sealed: sealed}, nil
}

// Write encrypts p.
func (c *CopyWriter) Write(p []byte) (int, error) { return c.sealed.Write(p) }

// Close ends the encryption. A copy that was not closed cannot be read.
func (c *CopyWriter) Close() error { return c.sealed.Close() }

// Info returns what was measured; call it after Close.
func (c *CopyWriter) Info(kind string, items int) BackupInfo { return c.meter.info(kind, items) }

// A CopyReader decrypts a copy and measures what it read.
type CopyReader struct {
	meter *meter
	plain io.Reader
}

// NewCopyReader returns a CopyReader of what a [CopyWriter] wrote. Another key,
// or a copy that was cut or changed, is an error here or while reading.
func NewCopyReader(r io.Reader, key []byte) (*CopyReader, error) {
	m := &meter{r: r, sum: sha256.New()}
	plain, err := seal.NewReader(m, key)
	if err != nil {
		return nil, fmt.Errorf("decrypt copy: %w", err)
	}
	return &CopyReader{meter: m, plain: plain}, nil
}

// Read returns decrypted bytes.
func (c *CopyReader) Read(p []byte) (int, error) { return c.plain.Read(p) }

// Info returns what was measured; call it after reading to the end.
func (c *CopyReader) Info(kind string, items int) BackupInfo { return c.meter.info(kind, items) }

// A meter counts and hashes the encrypted bytes that pass it.
type meter struct {
	w        io.Writer
	r        io.Reader
	sum      hash.Hash
	size     int64
	progress func(int64)
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.count(p[:n])
	return n, err
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.count(p[:n])
	return n, err
}

func (m *meter) count(p []byte) {
	m.sum.Write(p)
	m.size += int64(len(p))
	if m.progress != nil {
		m.progress(m.size)
	}
}

func (m *meter) info(kind string, items int) BackupInfo {
	return BackupInfo{
		Kind: kind, Size: m.size, SHA256: hex.EncodeToString(m.sum.Sum(nil)), Items: items, At: time.Now().UTC(),
	}
}
