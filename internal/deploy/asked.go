package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// asked is a gate while it judges.
type asked struct {
	work    *work
	gate    ship.Gate
	next    string    // what a person types when it does not pass
	began   time.Time // what is older was not written by its command
	targets []string

	mu      sync.Mutex
	files   []string // that were kept
	secrets []ship.Secret
}

// Resolve implements [Resolver]: what the gate's own settings refer to is not
// shown in what it finds.
func (a *asked) Resolve(v ship.Value) (ship.Secret, error) {
	s, err := a.work.resolver.Resolve(v)
	before, rest, refers := strings.Cut(string(v), "${")
	if err == nil && refers {
		after := rest[strings.LastIndex(rest, "}")+1:]
		alone := strings.TrimSuffix(strings.TrimPrefix(s.Reveal(), before), after) // without the word Bearer
		a.mu.Lock()
		defer a.mu.Unlock()
		a.secrets = append(a.secrets, s, ship.NewSecret(alone))
	}
	return s, err
}

// mask hides the secrets of the gate's own settings.
func (a *asked) mask() *mask.Masker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return mask.New(a.secrets...)
}

// urlVariable is what a command finds the running candidate by.
const urlVariable = "SHIPLOCK_URL"

// askedEvidence is noted before a gate is asked, so that it is the same moment
// after a crash.
type askedEvidence struct {
	Began time.Time `json:"began"`
}

func (a *asked) begin(ctx context.Context) error {
	var before askedEvidence
	if e := a.work.entry(a.work.seq); e != nil && json.Unmarshal(e.Evidence, &before) == nil && !before.Began.IsZero() {
		a.began = before.Began
		return nil
	}
	a.began = time.Now()
	return a.work.note(ctx, askedEvidence{a.began})
}

func (a *asked) candidate(ctx context.Context) (gate.Candidate, error) {
	w := a.work
	c := gate.Candidate{
		Run: w.run.ID, Name: a.gate.Name, Release: w.run.Request.Release, Dir: w.folder(), Timeout: a.gate.Timeout,
		Command: a.command, File: a.file, Earlier: a.earlier, Rehearse: w.rehearser(),
		Progress: func(text string, figures ...ship.Figure) {
			w.event(ctx, ship.EventProgress, text, ship.Report{Figures: figures})
		},
	}
	if !a.gate.Running {
		return c, nil
	}
	targets, err := w.targets(ctx)
	if err != nil {
		return c, err
	}
	for _, t := range targets {
		a.targets, c.Host = append(a.targets, "http://"+t.Address), t.Host
	}
	c.Targets = a.targets
	return c, nil
}

// command runs a command of the gate. It is ended when nobody needs what it
// finds; when only we are stopped, it goes on and is found again.
func (a *asked) command(ctx context.Context, argv ship.Argv) (int, string, error) {
	w, name := a.work, "gate-"+a.gate.Name
	a.next = "shiplock logs " + w.env().Name + " --job " + w.run.ID + "." + name
	c := migrate.Command{Name: name, Argv: argv, Timeout: a.gate.Timeout}
	if len(a.targets) > 0 {
		c.Vars = map[string]string{urlVariable: a.targets[0]}
	}
	r, err := w.command(ctx, c)
	if needless(ctx) {
		if e, ok := w.direct.(platform.Ender); ok {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endingTime)
			defer cancel()
			err = errors.Join(err, e.EndCommand(ctx, w.fence, w.env(), w.run.ID+"."+name))
		}
	}
	return r.Code, string(r.Stdout) + string(r.Stderr), err
}

// endingTime bounds how long a command's end is waited for.
const endingTime = 30 * time.Second

// needless tells whether a step was ended for good.
func needless(ctx context.Context) bool {
	cause := context.Cause(ctx)
	_, stopped := errors.AsType[*stoppedError](cause)
	return stopped || errors.Is(cause, errCancelled) || errors.Is(cause, context.DeadlineExceeded)
}

// conclude hides what is secret in a verdict, and has it shown by later plans.
func (a *asked) conclude(v ship.Verdict) (ship.Verdict, error) {
	a.mu.Lock()
	files := slices.Clone(a.files)
	a.mu.Unlock()
	if len(files) > 0 {
		if v.Report == nil {
			v.Report = &ship.Report{}
		}
		v.Report.Files = files
	}
	text, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	var out ship.Verdict
	if err := json.Unmarshal([]byte(a.mask().String(a.work.mask.String(string(text)))), &out); err != nil {
		return v, err
	}
	return out, a.work.keepRehearsal(out)
}

// coarse is by how much the clock of files may be behind ours.
const coarse = 250 * time.Millisecond

// file returns a file that a command of the gate wrote, and keeps it.
func (a *asked) file(_ context.Context, path string) ([]byte, error) {
	root, err := os.OpenRoot(a.work.folder())
	if err != nil {
		return nil, fmt.Errorf("open the release's folder: %w", err)
	}
	defer root.Close()
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ship.Errorf(ship.Failed, "have the command write it", "the command has not written it: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, ship.Errorf(ship.Failed, "", "it is no file")
	case info.ModTime().Before(a.began.Add(-coarse)):
		return nil, ship.Errorf(ship.Failed, "have the command write it", "the command has not written it: it is from %s", info.ModTime().UTC().Format(time.DateTime))
	}
	text, err := io.ReadAll(io.LimitReader(f, gate.MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > gate.MaxFile {
		return nil, ship.Errorf(ship.Failed, "", "it has more than %d MiB", gate.MaxFile>>20)
	}
	return text, a.keep(path, text)
}

// kept is the folder of the files of an environment's gates, by run.
func (a *asked) kept() string {
	return filepath.Join(a.work.e.Dir, "gates", a.work.env().App, a.work.env().Name)
}

func (a *asked) keptOf(run, path string) string {
	return filepath.Join(a.kept(), run, a.gate.Name, strings.ReplaceAll(filepath.ToSlash(path), "/", "_"))
}

func (a *asked) keep(path string, text []byte) error {
	name := a.keptOf(a.work.run.ID, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	if err := atomicfile.Write(name, []byte(a.work.mask.String(string(text))), 0o600); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.files, name) {
		a.files = append(a.files, name)
	}
	return nil
}

// earlier returns what was kept of the gate when the release that serves was
// deployed.
func (a *asked) earlier(ctx context.Context, path string) ([]byte, error) {
	deployed, err := a.work.e.Journal.DeployedIn(ctx, a.work.env())
	if err != nil {
		return nil, err
	}
	for _, d := range deployed {
		if d.Release != deployed[0].Release { // going back to a release asks no gates again
			continue
		}
		text, err := os.ReadFile(a.keptOf(d.Run, path))
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, fs.ErrNotExist
}

// mostKept is for how many runs of an environment the files of gates are kept.
const mostKept = 50

// forgetGates removes what the gates of runs long ago have written. What
// serves is kept, for others are compared with it.
func (w *work) forgetGates(ctx context.Context) {
	a := &asked{work: w}
	runs, err := os.ReadDir(a.kept())
	if err != nil || len(runs) <= mostKept {
		return
	}
	deployed, err := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil {
		return
	}
	when := map[string]time.Time{}
	for _, r := range runs {
		if info, err := r.Info(); err == nil {
			when[r.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(runs, func(a, b fs.DirEntry) int { return when[b.Name()].Compare(when[a.Name()]) })
	for _, r := range runs[mostKept:] {
		serves := slices.ContainsFunc(deployed, func(d ship.Deployed) bool { return d.Run == r.Name() && d.Release == deployed[0].Release })
		if serves {
			continue
		}
		if err := os.RemoveAll(filepath.Join(a.kept(), r.Name())); err != nil {
			w.e.Log.Warn("forget files of gates", "run", r.Name(), "error", err)
		}
	}
}
