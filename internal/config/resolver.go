package config

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Resolver looks up what references stand for. It does not change.
type Resolver struct {
	file    string
	secrets map[string]string
	lookup  func(string) (string, bool)
	instead func(name string) (string, bool) // where a secret may be besides the file
}

// NewResolver returns a Resolver that finds ${secret:NAME} in the secrets file
// and ${env:NAME} through lookup. Without a file no secret is found. A file
// that others can read, or that is not ours, is refused.
func NewResolver(file string, lookup func(string) (string, bool)) (*Resolver, error) {
	r := &Resolver{file: file, lookup: lookup}
	if file == "" {
		return r, nil
	}
	data, err := readSecrets(file)
	if err != nil {
		return nil, err
	}
	if r.secrets, err = parseEnvFile(file, string(data)); err != nil {
		return nil, err
	}
	return r, nil
}

// NewEntryResolver returns the Resolver of a process that starts where a
// container's platform hands out secrets as variables: what is not in the file,
// or all of them where there is no file, is looked up under its own name. told
// hears of each that was found so, by its name.
func NewEntryResolver(file string, lookup func(string) (string, bool), told func(name string)) (*Resolver, error) {
	if _, err := os.Stat(file); os.IsNotExist(err) {
		file = ""
	}
	r, err := NewResolver(file, lookup)
	if err != nil {
		return nil, err
	}
	r.instead = func(name string) (string, bool) {
		text, ok := lookup(name)
		if ok {
			told(name)
		}
		return text, ok
	}
	return r, nil
}

// Resolve replaces the references in v.
func (r *Resolver) Resolve(v ship.Value) (ship.Secret, error) {
	var b strings.Builder
	err := splitReferences(string(v), func(s string) { b.WriteString(s) }, func(scheme, name string) error {
		text, err := r.find(scheme, name)
		b.WriteString(text)
		return err
	})
	if err != nil {
		return ship.Secret{}, err
	}
	return ship.NewSecret(b.String()), nil
}

// Secrets returns every secret of the file, for masking.
func (r *Resolver) Secrets() []ship.Secret {
	var list []ship.Secret
	for _, text := range r.secrets {
		list = append(list, ship.NewSecret(text))
	}
	return list
}

func (r *Resolver) find(scheme, name string) (string, error) {
	if scheme == "env" {
		if r.lookup != nil {
			if text, ok := r.lookup(name); ok {
				return text, nil
			}
		}
		return "", ship.Errorf(ship.Invalid, "export "+name+"=…", "${env:%s} cannot be resolved: the variable is not set", name)
	}
	if text, ok := r.secrets[name]; ok {
		return text, nil
	}
	if r.instead != nil {
		if text, ok := r.instead(name); ok {
			return text, nil
		}
		return "", ship.Errorf(ship.Invalid, fmt.Sprintf("give the container the variable %s, or add a line %[1]s=… to its secrets file", name),
			"${secret:%s} cannot be resolved: it is neither in a secrets file nor the name of an environment variable", name)
	}
	if r.file == "" {
		return "", ship.Errorf(ship.Invalid, "add secrets: {file: secrets.env} to "+FileName,
			"${secret:%s} cannot be resolved: no secrets file is configured", name)
	}
	return "", ship.Errorf(ship.Invalid, fmt.Sprintf("add a line %s=… to %s", name, r.file),
		"${secret:%s} cannot be resolved: it is not in %s", name, r.file)
}

// readSecrets reads a file that nobody but us may read.
func readSecrets(path string) ([]byte, error) {
	file, info, err := openFile(path)
	if err != nil {
		hint := ""
		if os.IsNotExist(err) {
			hint = fmt.Sprintf("install -m 600 /dev/null %s", path)
		}
		return nil, ship.Errorf(ship.Invalid, hint, "read secrets: %w", err)
	}
	defer file.Close()
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, ship.Errorf(ship.Invalid, "chmod 600 "+path, "secrets file %s has mode %04o: others can read or change it", path, mode)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return nil, ship.Errorf(ship.Invalid, fmt.Sprintf("chown %d %s && chmod 600 %s", os.Geteuid(), path, path),
			"secrets file %s belongs to user %d, not to us (%d)", path, stat.Uid, os.Geteuid())
	}
	data, err := readAll(file)
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "", "read secrets: %w", err)
	}
	return data, nil
}
