// Package config reads shiplock.yaml, the secrets file and our own process
// environment, and turns them into values of package ship. It is the only
// reader of configuration files and of the environment; everybody else is
// handed values.
//
// It knows the shape of the file, its defaults and what can be wrong with it,
// and reports every problem with its place. It refuses to know what a plug-in
// does: which kinds exist is a parameter ([Known]), their settings are passed
// on undecoded. References to secrets stay references until a [Resolver] looks
// them up.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/shiplock/shiplock/internal/ship"
)

// FileName is the name of a project's configuration.
const FileName = "shiplock.yaml"

// maxFile is the size in bytes above which no file is read.
const maxFile = 1 << 20

// Known lists the kinds of plug-ins this binary has. A nil list is not
// checked against.
type Known struct {
	Platforms, Tools, Gates, Notifiers, Databases []string
	Rules                                         []string // of lint
	// Kinds has more of each of Gates. One that is missing takes any settings.
	Kinds map[string]GateKind
}

// A GateKind is what is known of a kind of gate.
type GateKind struct {
	Settings reflect.Type                         // what its settings are decoded into
	Check    func(settings json.RawMessage) error // whether they are right; see [plugin.SettingError]
	Running  bool                                 // it is asked when the candidate runs
	Alone    bool                                 // and when no other gate is
}

// A File is a shiplock.yaml without problems. It does not change.
type File struct {
	App     string
	Path    string   // of the file
	Dir     string   // absolute; the project's folder, where the file is
	Exclude []string // patterns of files that are not packed
	Ignore  []ship.Ignore
	Server  string // ssh:// URL or unix path; "" is not said

	doc   document
	known Known
}

// Load reads the file at path. Its problems are returned as [Errors].
func Load(path string, known Known) (*File, error) {
	if slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "..") {
		clean, _ := filepath.Abs(path) // only for the hint
		return nil, ship.Errorf(ship.Invalid, "--config "+clean, "the path %s leads through ..", path)
	}
	data, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ship.Errorf(ship.Invalid, "shiplock init", "there is no %s", path)
	}
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "", "read configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", path, err)
	}
	return Parse(path, data, dir, known)
}

// Parse is Load for a file that is read already. Name is what problems call
// it, dir is the project's folder.
func Parse(name string, data []byte, dir string, known Known) (*File, error) {
	d := &decoder{known: known, dir: dir}
	f := &File{Path: name, Dir: dir, known: known}
	if root := d.parse(data); root != nil {
		d.into(root, &f.doc)
		d.checkFile(&f.doc)
	}
	if err := d.err(name, data); err != nil {
		return nil, err
	}
	f.App, f.Server, f.Ignore = f.doc.App.Text, f.doc.Server.Text, ignores(f.doc.Lint)
	for _, pattern := range f.doc.Release.orZero().Exclude {
		f.Exclude = append(f.Exclude, pattern.Text)
	}
	return f, nil
}

// Environments returns the names of the environments in the file's order.
func (f *File) Environments() []string {
	return slices.Clone(f.doc.Environments.Names)
}

// IdleGates returns the gates that no environment lists, and which are thus
// never run, in the file's order.
func (f *File) IdleGates() []string {
	return slices.DeleteFunc(slices.Clone(f.doc.Gates.Names), func(name string) bool {
		for _, env := range f.doc.Environments.Items {
			if slices.ContainsFunc(env.Gates, func(g plain) bool { return g.Text == name }) {
				return true
			}
		}
		return false
	})
}

// Environment returns the environment of the given name with everything
// decided: the file's settings, the environment's own over them, defaults
// where neither says anything.
func (f *File) Environment(name string) (ship.Environment, error) {
	if _, ok := f.doc.Environments.Get(name); !ok {
		return ship.Environment{}, f.noEnvironment(name)
	}
	d := &decoder{known: f.known, dir: f.Dir}
	env := d.decide(&f.doc, name)
	if len(d.problems) > 0 { // Parse decided every environment already
		return ship.Environment{}, fmt.Errorf("environment %s: %s", name, d.problems[0].message)
	}
	return env, nil
}

// Followers returns the environments that take by themselves, one after the
// other, what has passed in the one of the given name.
func (f *File) Followers(name string) ([]ship.Environment, error) {
	var all []ship.Environment
	for _, next := range f.Environments() {
		own, _ := f.doc.Environments.Get(next)
		if own.After.Text != name || !own.Auto.On {
			continue
		}
		env, err := f.Environment(next)
		if err != nil {
			return nil, err
		}
		more, err := f.Followers(next)
		if err != nil {
			return nil, err
		}
		all = append(append(all, env), more...)
	}
	return all, nil
}

// OnlyHere names the settings of an environment that are files of this machine
// by a path relative to the configuration's folder, as "secrets.file: x": a
// server on another machine would look for them in vain.
func (f *File) OnlyHere(name string) []string {
	own, ok := f.doc.Environments.Get(name)
	if !ok {
		return nil
	}
	var all []string
	add := func(key string, v hostFile) {
		if v.Text != "" && !filepath.IsAbs(v.Text) {
			all = append(all, key+": "+v.Text)
		}
	}
	if s := merge(f.doc.settings, own.settings).Secrets; s != nil {
		add("secrets.file", s.File)
	}
	if own.TLS != nil {
		add("tls.cert", own.TLS.Cert)
		add("tls.key", own.TLS.Key)
	}
	return all
}

func (f *File) noEnvironment(name string) error {
	names := f.Environments()
	hint := "shiplock config show"
	if near := closest(name, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	return ship.Errorf(ship.NotFound, hint, "%s has no environment %q, it has %s", f.Path, name, strings.Join(names, ", "))
}

// readFile reads a regular file that is not a symbolic link and not larger
// than maxFile.
func readFile(path string) ([]byte, error) {
	file, _, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file)
}

// openFile opens a regular file for reading. It neither follows a symbolic
// link in the last element nor waits for a pipe.
func openFile(path string) (*os.File, os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, nil, fmt.Errorf("%s is a symbolic link", path)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxFile)
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// readAll reads what may have grown since it was looked at.
func readAll(file *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", file.Name(), maxFile)
	}
	return data, nil
}
