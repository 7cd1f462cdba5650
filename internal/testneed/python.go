package testneed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Python returns the folder of a virtual environment that has the given
// requirements, each written as in a requirements file. It is built from the
// package index once per machine and kept in the user's cache folder; tests
// share it and must not install into it.
func Python(t testing.TB, requirements ...string) string {
	t.Helper()
	python := Command(t, "python3", "python3")
	version, err := exec.Command(python, "-c", "import sys, venv, ensurepip; print(sys.version)").Output()
	if err != nil {
		Missing(t, "Python with the venv module", "apt-get install python3-venv")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	wanted := slices.Clone(requirements)
	slices.Sort(wanted)
	sum := sha256.Sum256([]byte(python + "\n" + string(version) + strings.Join(wanted, "\n")))
	dir := filepath.Join(cache, "shiplock-test", "python", hex.EncodeToString(sum[:8]))
	if err := ensureVenv(python, dir, wanted); err != nil {
		if miss, ok := errors.AsType[*missingPackages](err); ok {
			Missing(t, "Python packages "+strings.Join(wanted, " "), miss.Error())
		}
		t.Fatalf("build a virtual environment: %v", err)
	}
	return dir
}

// Requirements returns the lines of a requirements file, without comments,
// for [Python].
func Requirements(t testing.TB, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// missingPackages says why the index did not give what was asked for.
type missingPackages struct{ output string }

func (m *missingPackages) Error() string { return "pip install failed: " + m.output }

// ensureVenv builds the environment in dir unless it is complete. A lock file
// beside it keeps test processes from building it at the same time; the mark
// is written last, so that what a killed test left is built anew.
func ensureVenv(python, dir string, requirements []string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	mark := dir + ".ready"
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(mark); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if out, err := exec.Command(python, "-m", "venv", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("python -m venv: %w: %s", err, out)
	}
	if len(requirements) > 0 {
		args := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"}, requirements...)
		if out, err := exec.Command(filepath.Join(dir, "bin", "python"), args...).CombinedOutput(); err != nil {
			return &missingPackages{strings.TrimSpace(string(out))}
		}
	}
	return os.WriteFile(mark, []byte(strings.Join(requirements, "\n")), 0o644)
}
