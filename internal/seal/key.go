package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/ship"
)

// LoadOrCreateKey returns the key in the file at path, KeySize random bytes.
// Without a file it makes one, readable by its owner alone; of several callers
// at once all get the same key. A file that others may read, or that is no
// plain file, is refused: a key that leaked protects nothing.
func LoadOrCreateKey(path string) ([]byte, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create seal key: %w", err)
	}
	return loadKey(path)
}

func loadKey(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("read seal key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, ship.Errorf(ship.Invalid, "put the key itself there", "seal key %s is not a plain file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, ship.Errorf(ship.Invalid, "chmod 600 "+path, "seal key %s may be read by others (mode %04o)", path, info.Mode().Perm())
	}
	if info.Size() != KeySize {
		return nil, ship.Errorf(ship.Invalid, "restore the key file from a backup",
			"seal key %s has %d bytes instead of %d", path, info.Size(), KeySize)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read seal key: %w", err)
	}
	return key, nil
}

// createKey links a complete file to path, which unlike a rename fails when
// another was faster: a key that somebody may have used is never replaced.
func createKey(path string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key.*") // 0600 by CreateTemp
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	key := make([]byte, KeySize)
	rand.Read(key) // never fails, see crypto/rand
	_, err = tmp.Write(key)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return atomicfile.SyncDir(dir)
}

// minPassphrase keeps guesses hopeless in spite of the salt all share.
const minPassphrase = 16

// ParseKey makes a key of a setting: KeySize bytes in hexadecimal or base64,
// else a passphrase of at least 16 bytes, which Argon2id stretches. A
// passphrase has no salt of its own, since the same text has to give the same
// key on every machine; a random key is the better choice.
func ParseKey(text ship.Secret) ([]byte, error) {
	s := text.Reveal()
	if key, err := hex.DecodeString(s); err == nil && len(key) == KeySize {
		return key, nil
	}
	if key, err := base64.StdEncoding.DecodeString(s); err == nil && len(key) == KeySize {
		return key, nil
	}
	if len(s) < minPassphrase {
		return nil, ship.Errorf(ship.Invalid, "make one with: openssl rand -hex 32",
			"a seal passphrase needs at least %d bytes, this one has %d", minPassphrase, len(s))
	}
	return argon2.IDKey([]byte(s), []byte("shiplock seal passphrase"), 3, 64<<10, 2, KeySize), nil
}
