package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/ship"
)

// venvDone is written into a virtual environment when it is complete.
const venvDone = ".complete"

// maxRequirements bounds the files of requirements that are read.
const maxRequirements = 1 << 20

// virtualenv gives the release a virtual environment and says what it did. One
// is made for each interpreter and requirements, and stays where it was made
// because it cannot be moved; releases that ask for the same share it.
func (e *environment) virtualenv(ctx context.Context, p prepareSpec, py ship.Python) (dir, did string, err error) {
	if py.Interpreter == "" {
		py.Interpreter = "python3"
	}
	base := e.environ(p.Spec, "", "")
	base["PIP_CACHE_DIR"], base["PIP_NO_INPUT"], base["PIP_DISABLE_PIP_VERSION_CHECK"] = e.cache(), "1", "1"
	hash, err := e.venvHash(ctx, p, py, base)
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(e.venvs(), hash)
	if exists(filepath.Join(dir, venvDone)) {
		return dir, "used the virtual environment " + hash + " again", nil
	}
	began := time.Now()
	if err := e.venvFolder(dir, p); err != nil {
		return "", "", err
	}
	create := ship.Argv{py.Interpreter, "-m", "venv"}
	if py.SitePackages {
		create = append(create, "--system-site-packages")
	}
	steps := []ship.Argv{append(create, literal(dir))}
	if py.Requirements != "" {
		install := ship.Argv{literal(filepath.Join(dir, "bin", "python")), "-m", "pip", "install", "--quiet"}
		if py.Offline {
			install = append(install, "--no-index")
		}
		steps = append(steps, append(install, "--requirement", literal(py.Requirements)))
	}
	for i, argv := range steps {
		if err := e.step(ctx, p, fmt.Sprintf("venv-%d-%s", i+1, hash), argv, base); err != nil {
			if ctx.Err() == nil {
				_ = os.RemoveAll(dir)
			}
			return "", "", err
		}
	}
	if err := e.venvClose(dir, p); err != nil {
		return "", "", err
	}
	return dir, fmt.Sprintf("made the virtual environment %s in %s", hash, time.Since(began).Round(time.Second)), nil
}

// venvFolder makes the folder for those who may write to it now. One that a
// failed try left behind is removed, one that a job still fills is kept.
func (e *environment) venvFolder(dir string, p prepareSpec) error {
	if !exists(e.preparations(p.digest())) {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("make virtual environment: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make virtual environment: %w", err)
	}
	owner, err := credential(p.user())
	if err != nil || owner == nil {
		return err
	}
	return os.Chown(dir, int(owner.Uid), int(owner.Gid))
}

// venvClose takes a complete virtual environment out of the hands of the user
// who filled it.
func (e *environment) venvClose(dir string, p prepareSpec) error {
	if p.user() != "" {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return fmt.Errorf("close virtual environment: %w", err)
		}
		defer root.Close()
		if err := own(root, os.Getuid(), os.Getgid()); err != nil {
			return fmt.Errorf("close virtual environment: %w", err)
		}
	}
	return atomicfile.Write(filepath.Join(dir, venvDone), nil, 0o644)
}

// venvHash names a virtual environment by all that decides what is in it.
func (e *environment) venvHash(ctx context.Context, p prepareSpec, py ship.Python, env environ) (string, error) {
	t, err := newTask(ship.Argv{py.Interpreter, "-c", "import sys; print(sys.version, sys.executable, sys.platform)"}, p.dir, p.user(), env)
	if err != nil {
		return "", err
	}
	r, err := query(ctx, t, nil, time.Minute)
	if err != nil {
		return "", err
	}
	if err := failure("asking "+py.Interpreter+" for its version", r); err != nil {
		return "", err
	}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\x00%v\x00%v\x00%s\x00", r.Stdout, py.SitePackages, py.Offline, p.user())
	if py.Requirements != "" {
		root, err := os.OpenRoot(p.dir)
		if err != nil {
			return "", fmt.Errorf("read requirements: %w", err)
		}
		defer root.Close()
		text, err := requirements(root, py.Requirements, map[string]bool{})
		if err != nil {
			return "", err
		}
		if strings.Contains(text, localMark) {
			text += p.digest()
		}
		_, _ = sum.Write([]byte(text))
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// localMark is put into the text of requirements that name files of the
// release itself: only the same release may use what came of them.
const localMark = "\x00local\x00"

// requirements returns the text of a requirements file and those it includes.
func requirements(root *os.Root, name string, seen map[string]bool) (string, error) {
	name = filepath.ToSlash(filepath.Clean(name))
	if seen[name] {
		return "", nil
	}
	seen[name] = true
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ship.Errorf(ship.Failed, "name the file under run.python.requirements", "the release has no %s", name)
	}
	if err != nil {
		return "", fmt.Errorf("read requirements: %w", err)
	}
	if info.Size() > maxRequirements || len(seen) > 50 {
		return "", ship.Errorf(ship.Failed, "", "requirements %s are too many to read", name)
	}
	data, err := root.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read requirements: %w", err)
	}
	text := string(data)
	for line := range strings.Lines(string(data)) {
		if file, ok := included(line); ok {
			more, err := requirements(root, filepath.Join(filepath.Dir(name), file), seen)
			if err != nil {
				return "", err
			}
			text += "\x00" + more
		} else if isLocal(line) {
			text += localMark
		}
	}
	return text, nil
}

// included returns the file a line of requirements includes.
func included(line string) (string, bool) {
	for _, option := range []string{"--requirement", "--constraint", "-r", "-c"} {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), option); ok {
			file := strings.TrimLeft(rest, " =\t")
			return file, file != "" && !strings.Contains(file, "://")
		}
	}
	return "", false
}

// isLocal tells whether a line of requirements names files rather than a
// package of an index.
func isLocal(line string) bool {
	line = strings.TrimSpace(line)
	for _, prefix := range []string{"-e", "--editable", "-f", "--find-links", ".", "/", "file:"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return strings.Contains(line, "@ file:")
}

// literal writes a word so that nothing in it is taken for a variable.
func literal(word string) string { return strings.ReplaceAll(word, "$", "$$") }
