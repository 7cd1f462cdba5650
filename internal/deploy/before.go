package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// preflight makes sure that nothing is begun that cannot be finished.
func preflight(ctx context.Context, w *work) (string, any, error) {
	said := []string{fmt.Sprintf("epoch %d", w.fence.Epoch)}
	need := 3 * w.run.Request.Release.Artifact.Size
	if w.db != nil {
		if err := w.db.Ping(ctx); err != nil {
			return "", nil, err
		}
		version, err := w.db.ServerVersion(ctx)
		if err != nil {
			return "", nil, err
		}
		size, err := w.db.Size(ctx)
		if err != nil {
			return "", nil, err
		}
		need += size
		said = append(said, version+" reachable")
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(w.e.Dir, &fs); err != nil {
		return "", nil, fmt.Errorf("ask for disk room in %s: %w", w.e.Dir, err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	if free < need {
		return "", nil, ship.Errorf(ship.Failed, "free some room", "%s has %d MiB free, release and backup may need %d MiB", w.e.Dir, free>>20, need>>20)
	}
	said = append(said, fmt.Sprintf("%d MiB free", free>>20))
	return strings.Join(said, ", "), nil, w.upload(ctx)
}

// uploads is how often an artifact is sent outside a run before that is given
// up. A run sends it until the time of its step is over.
const uploads = 5

// upload hands the artifact to the platform. A stream cannot be repeated by
// the platform's client, so one that broke off is sent again from here.
func (w *work) upload(ctx context.Context) error {
	if p, ok := w.platform.(*patient); ok {
		return p.wait(ctx, func() error { return w.uploadOnce(ctx) })
	}
	for attempt := 1; ; attempt++ {
		err := w.uploadOnce(ctx)
		if ship.KindOf(err) != ship.Unreachable || attempt == uploads || sleep(ctx, pollEvery) != nil {
			return err
		}
	}
}

func (w *work) uploadOnce(ctx context.Context) error {
	a := w.run.Request.Release.Artifact
	f, err := w.e.Artifacts.Open(a.Digest)
	if err != nil {
		return fmt.Errorf("open artifact of v%d: %w", w.run.Request.Release.Number, err)
	}
	defer f.Close()
	return w.platform.Upload(ctx, a, f)
}

func prepare(ctx context.Context, w *work) (string, any, error) {
	p, err := w.platform.Prepare(ctx, w.spec)
	if err != nil {
		return "", nil, fmt.Errorf("prepare v%d: %w", w.run.Request.Release.Number, err)
	}
	return p.Took, p, nil
}

// inspect looks at the prepared release and the database and completes the
// plan. A plan that may not be carried out ends the run here.
func inspect(ctx context.Context, w *work) (string, any, error) {
	facts, err := w.facts(ctx)
	if err != nil {
		return "", nil, err
	}
	p, err := w.checkDrops(ctx, plan.Build(facts))
	if err == nil {
		p, err = w.obstacles(ctx, p)
	}
	if err != nil {
		return "", nil, err
	}
	if p.Refused != nil {
		return "", nil, &ship.Error{Kind: p.Refused.Kind, Hint: p.Refused.Hint, Err: errors.New(p.Refused.Reason)}
	}
	w.newPlan = &p
	w.purgeTrash(ctx)
	if w.run.Request.Options.Backfill != "" {
		return fmt.Sprintf("%d backfills in the release", len(facts.Backfills)), nil, nil
	}
	if facts.Listing == nil {
		return "no migrations", nil, nil
	}
	if w.run.Request.Options.Contract {
		return fmt.Sprintf("%d of %d contracts may be carried out", len(p.Migrations), len(p.Waiting)), p.Waiting, nil
	}
	if w.run.Request.Options.Down != "" {
		return fmt.Sprintf("%d of %d migrations to take back", len(p.Migrations), len(facts.Listing.Migrations)), nil, nil
	}
	return fmt.Sprintf("%d of %d migrations pending%s", len(p.Migrations)+len(p.Waiting), len(facts.Listing.Migrations), waiting(p)), nil, nil
}

// waiting counts the contracts that a plan leaves for a run of their own.
func waiting(p ship.Plan) string {
	if len(p.Waiting) == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them contracts that wait", len(p.Waiting))
}

// facts gathers what a plan is made of.
func (w *work) facts(ctx context.Context) (plan.Facts, error) {
	f := plan.Facts{Request: w.run.Request, Can: w.platform.Capabilities()}
	var err error
	if f.Observed, err = w.platform.Observe(ctx, w.env()); err != nil {
		return f, err
	}
	if active, ok := f.Observed.Slots[f.Observed.Active]; ok && f.Observed.Active != "" {
		f.From = &active.Release
	}
	deployed, err := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil {
		return f, err
	}
	if len(deployed) > 0 {
		f.FromSettings = &deployed[0].Settings
	}
	if w.db == nil {
		return f, nil
	}
	if f.Ledger, err = w.db.Ledger(ctx); err != nil {
		return f, err
	}
	if f.Backfills, err = w.backfillings(ctx); err != nil || w.tool == nil || w.run.Request.Options.Backfill != "" {
		return f, err
	}
	l, err := w.list(ctx, nil)
	if err != nil {
		return f, fmt.Errorf("list migrations: %w", err)
	}
	f.Listing = l
	if err := w.contractFacts(ctx, &f, w.run.Request.Options.Contract || w.run.Request.Verb == "status"); err != nil {
		return f, err
	}
	if id := w.run.Request.Options.Down; id != "" {
		f.Counted = w.count(ctx, l, id)
	}
	f.Unsettled, err = w.unsettled(ctx, f.Ledger, l.Migrations)
	return f, err
}

// unsettled lists the migrations that another run began and of which the tool
// cannot tell what became. Those it can tell are settled when they are applied.
func (w *work) unsettled(ctx context.Context, ledger []ship.Record, known []ship.Migration) ([]string, error) {
	var ids []string
	for _, r := range ledger {
		if r.Status != ship.RecordStarted || r.Run == w.run.ID {
			continue
		}
		at := slices.IndexFunc(known, func(m ship.Migration) bool { return m.ID == r.Migration })
		if at < 0 {
			ids = append(ids, r.Migration)
			continue
		}
		p, closeProject, err := w.project(nil)
		if err != nil {
			return nil, err
		}
		state, err := w.tool.Observe(ctx, p, known[at])
		closeProject()
		if err != nil {
			return nil, fmt.Errorf("find out what became of %s: %w", r.Migration, err)
		}
		if state == migrate.StateUnknown {
			ids = append(ids, r.Migration)
		}
	}
	return ids, nil
}

// command runs a command in the prepared release. A named one belongs to this
// run: a resumed run finds it again.
func (w *work) command(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	if w.local != nil {
		return w.local.Run(ctx, c)
	}
	pc := platform.Command{Argv: c.Argv, Stdin: c.Stdin, Timeout: c.Timeout, Vars: map[string]ship.Secret{}}
	if c.Name != "" {
		pc.Name, pc.Fence = w.run.ID+"."+c.Name, &w.fence
	}
	for k, v := range c.Vars {
		pc.Vars[k] = ship.NewSecret(v)
	}
	if pc.Timeout <= 0 {
		pc.Timeout = 2 * time.Minute
	}
	r, err := w.platform.Run(ctx, w.spec, pc)
	return migrate.Result{Code: r.Code, Unknown: r.Unknown, Stdout: r.Stdout, Stderr: r.Stderr}, err
}
