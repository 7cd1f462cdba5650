package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/ship"
)

// The resolved variables of a slot are kept in a file of their own, mode 0600
// in a folder of mode 0700, because an instance has to be restarted when
// nobody is there who could resolve them: after a reboot, with the server
// gone. They are as readable as the instance's own environment in /proc is: to
// us and to root. The file goes when the slot is stopped.

func (e *environment) secretsPath(slot ship.Slot) string {
	return filepath.Join(e.secrets(), string(slot)+".json")
}

func (e *environment) writeSecrets(slot ship.Slot, vars map[string]ship.Secret) error {
	data, err := json.Marshal(reveal(vars))
	if err != nil {
		return fmt.Errorf("keep variables: %w", err)
	}
	return atomicfile.Write(e.secretsPath(slot), data, 0o600)
}

func (e *environment) readSecrets(slot ship.Slot) (map[string]string, error) {
	var vars map[string]string
	if err := readJSON(e.secretsPath(slot), &vars); err != nil {
		return nil, fmt.Errorf("read variables of slot %s: %w", slot, err)
	}
	return vars, nil
}

func (e *environment) removeSecrets(slot ship.Slot) error {
	if err := os.Remove(e.secretsPath(slot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove variables: %w", err)
	}
	return nil
}
