package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// before returns the schema as it was before this run first touched a
// migration. It is kept in a file, so that after a crash what a half-done
// migration left is not taken for what was there.
func (m *migration) before(ctx context.Context, mig ship.Migration) (*database.Catalog, error) {
	if m.w.detached {
		return m.w.db.Catalog(ctx)
	}
	path := m.w.catalogPath(mig.ID)
	kept, err := readCatalog(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	now, err := m.w.db.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(now)
	if err != nil {
		return nil, fmt.Errorf("keep the schema: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("keep the schema: %w", err)
	}
	return now, atomicfile.Write(path, b, 0o600)
}

// catalogPath names the file after a digest, since an ID may hold anything.
func (w *work) catalogPath(migration string) string {
	sum := sha256.Sum256([]byte(migration))
	return filepath.Join(w.e.Dir, "runs", w.run.ID, hex.EncodeToString(sum[:8])+".catalog.json")
}

func readCatalog(path string) (*database.Catalog, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var c database.Catalog
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &c, nil
}

// forgetCatalogs removes what a run kept, once it has ended.
func (w *work) forgetCatalogs() {
	if err := os.RemoveAll(filepath.Join(w.e.Dir, "runs", w.run.ID)); err != nil {
		w.e.Log.Warn("remove what a run kept", "run", w.run.ID, "error", err)
	}
}
