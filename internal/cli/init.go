package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/detect"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

// initFlags are how far init goes without asking.
type initFlags struct {
	yes, dry, force bool
	pushTo          string
}

func (s *session) initCommand() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use: "init [folder]", Short: "Write a shiplock.yaml for an existing application, with the evidence for each guess", Args: cobra.MaximumNArgs(1),
		Long: "Read the folder of an application, without running anything and without a network, and write a\n" +
			"shiplock.yaml for it. Every guess is printed with the line it rests on. A file that is there is never\n" +
			"replaced without --force: what would change is shown.",
		Example: "  shiplock init\n  shiplock init --dry-run > shiplock.yaml\n  shiplock init --force services/shop\n" +
			"  shiplock init --push-to /srv/shop.git",
		RunE: func(c *cobra.Command, args []string) error {
			if f.pushTo != "" {
				return s.installPush(c.Context(), f.pushTo)
			}
			path := filepath.Join(".", config.FileName)
			switch {
			case len(args) > 0:
				path = filepath.Join(args[0], config.FileName)
			case c.Flags().Changed("file"):
				path = s.file
			}
			return s.initialise(c.Context(), path, f)
		},
	}
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "print the configuration, write nothing")
	c.Flags().BoolVar(&f.force, "force", false, "replace a configuration that is there")
	c.Flags().StringVar(&f.pushTo, "push-to", "", "write no configuration, but make this bare `repository` deploy what is pushed to an environment's branch")
	return c
}

// found is what init tells of a folder.
type found struct {
	App       string          `json:"app"`
	Framework string          `json:"framework,omitempty"`
	File      string          `json:"file"`
	Written   bool            `json:"written"`
	Guesses   []detect.Guess  `json:"guesses"`
	Notes     []detect.Note   `json:"notes"`
	Secrets   []detect.Secret `json:"secrets"` // names that have no value yet
	YAML      string          `json:"yaml"`
	Diff      []string        `json:"diff,omitempty"` // against the file that is there
	Next      []string        `json:"next"`
}

func (s *session) initialise(ctx context.Context, path string, f initFlags) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return ship.Errorf(ship.Invalid, "name the folder of an application", "init: %w", err)
	}
	defer root.Close()
	r, err := look(ctx, root, path)
	if err != nil {
		return err
	}
	there, err := r.compare(root)
	if err != nil {
		return err
	}
	s.tell(r)
	var refused error
	switch {
	case f.dry:
	case there && len(r.Diff) > 0 && !f.force:
		refused = ship.Errorf(ship.Invalid, "shiplock init --force "+filepath.Dir(path), "%s is there and says something else; nothing was written", path)
	case !s.agreed(f, path):
		refused = ship.Errorf(ship.Rejected, "shiplock init --yes", "nothing was written")
	default:
		if err := write(root, path, r.YAML); err != nil {
			return err
		}
		r.Written = true
	}
	if err := s.print(r, func(w io.Writer) { printFound(w, r, f.dry) }); err != nil {
		return err
	}
	if refused == nil {
		s.sayNext(r)
	}
	return refused
}

// maxOld is the size in bytes of the largest file that is compared.
const maxOld = 64 << 10

// compare tells whether there is a configuration, and how it differs.
func (r *found) compare(root *os.Root) (there bool, err error) {
	name := filepath.Base(r.File)
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && (!info.Mode().IsRegular() || info.Size() > maxOld):
		err = fmt.Errorf("%s is no file of at most %d KiB", r.File, maxOld>>10)
	}
	if err != nil {
		return false, ship.Errorf(ship.Invalid, "move it away", "init: %w", err)
	}
	old, err := root.ReadFile(name)
	if err != nil {
		return false, ship.Errorf(ship.Invalid, "make it readable", "init: %w", err)
	}
	r.Diff = lineDiff(string(old), r.YAML)
	return true, nil
}

// look guesses, and makes sure that what is guessed is a configuration.
func look(ctx context.Context, root *os.Root, path string) (*found, error) {
	folder := filepath.Dir(path)
	full, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	name := folder
	if name == "." {
		name = filepath.Base(full)
	}
	p, err := detect.Scan(ctx, root.FS(), name)
	if err != nil {
		return nil, err
	}
	text := p.YAML()
	if _, err := config.Parse(path, text, full, builtin.Known()); err != nil {
		return nil, fmt.Errorf("what was guessed is no configuration: %w", err)
	}
	r := &found{
		App: p.App, Framework: p.Framework, File: path, YAML: string(text),
		Guesses: append([]detect.Guess{}, p.Guesses...), Notes: append([]detect.Note{}, p.Notes...),
		Secrets: missing(p.Secrets, filepath.Join(full, detect.SecretsFile)),
	}
	r.Next = next(root, folder, r.Secrets)
	return r, nil
}

// missing returns the secrets that have no value yet.
func missing(wanted []detect.Secret, file string) []detect.Secret {
	list := []detect.Secret{}
	r, err := config.NewResolver(file, nil)
	if err != nil {
		return append(list, wanted...)
	}
	for _, secret := range wanted {
		if _, err := r.Resolve(ship.Value("${secret:" + secret.Name + "}")); err != nil {
			list = append(list, secret)
		}
	}
	return list
}

// next lists what a person has to do before the first deployment.
func next(root *os.Root, folder string, secrets []detect.Secret) []string {
	list := []string{}
	file := filepath.Join(folder, detect.SecretsFile)
	if _, err := root.Lstat(detect.SecretsFile); err != nil && len(secrets) > 0 {
		list = append(list, "install -m 600 /dev/null "+file)
	}
	for _, secret := range secrets {
		list = append(list, fmt.Sprintf("add a line %s=… to %s", secret.Name, file))
	}
	ignored, err := fs.ReadFile(root.FS(), ".gitignore")
	_, git := root.Lstat(".git")
	if len(secrets) > 0 && (err == nil || git == nil) && !bytes.Contains(ignored, []byte(detect.SecretsFile)) && !bytes.Contains(ignored, []byte("*.env")) {
		list = append(list, fmt.Sprintf("add a line %s to %s", detect.SecretsFile, filepath.Join(folder, ".gitignore")))
	}
	doctor := "shiplock doctor dev"
	if folder != "." {
		doctor += " -f " + filepath.Join(folder, config.FileName)
	}
	return append(list, doctor)
}

// agreed asks, where there is somebody to ask.
func (s *session) agreed(f initFlags, path string) bool {
	in, ok := s.in.(io.Writer) // a terminal can be written to as well
	if f.yes || s.json() || !ok || !s.terminal(in) {
		return true
	}
	fmt.Fprintf(s.err, "\nWrite %s? [Y/n] ", path)
	line, err := bufio.NewReader(io.LimitReader(s.in, 1<<10)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return err == nil && (answer == "" || answer == "y" || answer == "yes")
}

// write writes the configuration and, for editors, its schema: in a folder of
// ours, which is never packed.
func write(root *os.Root, path, text string) error {
	dir := filepath.Dir(detect.SchemaFile)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return ship.Errorf(ship.Invalid, "make the folder writable", "init: %w", err)
	}
	// What we write goes nowhere else, whatever the folder holds.
	if info, err := root.Lstat(dir); err != nil || !info.IsDir() {
		return ship.Errorf(ship.Invalid, "remove it", "init: %s is a link", filepath.Join(filepath.Dir(path), dir))
	}
	schema := filepath.Join(filepath.Dir(path), detect.SchemaFile)
	if err := atomicfile.Write(schema, config.Schema(builtin.Known()), 0o644); err != nil {
		return ship.Errorf(ship.Invalid, "make the folder writable", "init: %w", err)
	}
	if err := atomicfile.Write(path, []byte(text), 0o644); err != nil {
		return ship.Errorf(ship.Invalid, "make the folder writable", "init: %w", err)
	}
	return nil
}

// tell prints what was found, each guess with what it rests on.
func (s *session) tell(r *found) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 2, 8, 2, ' ', 0)
	for _, g := range r.Guesses {
		mark := "✓"
		if g.At.File == "" {
			mark = "?"
		}
		fmt.Fprintf(t, " %s %s\t%s\t%s\t%s\n", mark, g.Key, oneLine(g.Value, 60), oneLine(g.At.String(), 60), oneLine(g.Why, 80))
	}
	_ = t.Flush()
	for _, n := range r.Notes {
		at := ""
		if n.At.File != "" {
			at = n.At.String() + ": "
		}
		fmt.Fprintf(&b, " ! %s%s\n", mask.Terminal(at), mask.Terminal(n.Text))
	}
	s.say("%s", strings.TrimRight(b.String(), "\n"))
}

// oneLine shows what others wrote in a table.
func oneLine(text string, width int) string {
	text = strings.Join(strings.Fields(mask.Terminal(text)), " ")
	if r := []rune(text); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return text
}

func printFound(w io.Writer, r *found, dry bool) {
	switch {
	case dry:
		fmt.Fprint(w, r.YAML)
	case r.Written:
		fmt.Fprintf(w, "wrote %s and %s\n", r.File, filepath.Join(filepath.Dir(r.File), detect.SchemaFile))
	default:
		for _, line := range r.Diff {
			fmt.Fprintln(w, mask.Terminal(line))
		}
	}
}

func (s *session) sayNext(r *found) {
	s.say("\nBefore the first deployment:")
	for _, line := range r.Next[:len(r.Next)-1] {
		s.say("  %s", line)
	}
	s.say("Next: %s", r.Next[len(r.Next)-1])
}

// lineDiff returns the lines of both texts, marked "-" when they are only in
// the old one and "+" when only in the new one; none when the texts are equal.
func lineDiff(old, fresh string) []string {
	if old == fresh {
		return nil
	}
	a, b := strings.Split(strings.TrimSuffix(old, "\n"), "\n"), strings.Split(strings.TrimSuffix(fresh, "\n"), "\n")
	// common[i][j] is how many lines a[i:] and b[j:] have in common, in order.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
