package release

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

const maxIgnoreFile = 1 << 20

// An exclusion decides what of a tree is not packed. There are three layers,
// the later ones win: what nobody wants, the tree's .gitignore files, and the
// patterns of the caller. Above them is what is never packed.
type exclusion struct {
	never    gitignore.Matcher
	patterns []gitignore.Pattern // defaults, then those of the tree
	callers  []gitignore.Pattern
}

func newExclusion(patterns []string) *exclusion {
	return &exclusion{
		never: gitignore.NewMatcher(parse(nil, ".git", ".hg", ".svn", "/"+ownFolder)),
		// .env files hold the secrets of whoever packs; those of an
		// environment come from its secret store.
		patterns: parse(nil, "__pycache__", "*.pyc", ".venv", "node_modules/.cache", "**/node_modules/.cache", ".env", ".env.*"),
		callers:  parse(nil, patterns...),
	}
}

func parse(domain []string, lines ...string) []gitignore.Pattern {
	var all []gitignore.Pattern
	for _, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			all = append(all, gitignore.ParsePattern(line, domain))
		}
	}
	return all
}

// read adds the patterns of the .gitignore file in a folder, if it has one.
func (e *exclusion) read(root *os.Root, dir string) error {
	name := path.Join(dir, ".gitignore")
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil // absent; and git itself does not follow a link here
	}
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIgnoreFile))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	var domain []string
	if dir != "." {
		domain = strings.Split(dir, "/")
	}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	lines.Buffer(nil, maxIgnoreFile)
	for lines.Scan() {
		e.patterns = append(e.patterns, parse(domain, lines.Text())...)
	}
	return nil
}

// matches tells whether a path, whose folders are not excluded, is.
func (e *exclusion) matches(name string, isDir bool) bool {
	parts := strings.Split(name, "/")
	if e.never.Match(parts, isDir) {
		return true
	}
	for _, layer := range [][]gitignore.Pattern{e.callers, e.patterns} {
		for i := len(layer) - 1; i >= 0; i-- {
			if m := layer[i].Match(parts, isDir); m != gitignore.NoMatch {
				return m == gitignore.Exclude
			}
		}
	}
	return false
}

// excludes tells whether a file or one of its folders is excluded.
func (e *exclusion) excludes(name string) bool {
	for i, c := range name {
		if c == '/' && e.matches(name[:i], true) {
			return true
		}
	}
	return e.matches(name, false)
}
