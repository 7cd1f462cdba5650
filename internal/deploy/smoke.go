package deploy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/health"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// smokeProbe is what a check of the release that serves is called among the
// statements that break.
const smokeProbe = "smoke"

// smoker returns what starts the release that serves against a copy, nil when
// none serves.
func (w *work) smoker(ctx context.Context) (func(context.Context, database.Shadow) ([]ship.Breakage, error), error) {
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return nil, err
	}
	serving, ok := obs.Slots[obs.Active]
	if !ok || len(serving.Instances) == 0 {
		return nil, nil
	}
	deployed, err := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(deployed, func(d ship.Deployed) bool { return d.Release == serving.Release.Number })
	if at < 0 || deployed[at].Settings.Database == nil {
		return nil, ship.Errorf(ship.Failed, "take smoke from the gate", "with which settings v%d was deployed is not known", serving.Release.Number)
	}
	spec := platform.Spec{Environment: deployed[at].Settings, Release: serving.Release}
	r, err := w.e.Resolver(spec.Environment)
	if err != nil {
		return nil, err
	}
	if spec.Vars, err = Variables(spec.Environment, r); err != nil {
		return nil, err
	}
	if name := elsewhere(r, spec.Vars, spec.Environment); name != "" {
		return nil, ship.Errorf(ship.Invalid, "take smoke from the gate", "the variable %s of v%d leads to the real database too: it would be used instead of the copy", name, serving.Release.Number)
	}
	if _, err := w.platform.Prepare(ctx, spec); err != nil {
		return nil, fmt.Errorf("prepare v%d: %w", serving.Release.Number, err)
	}
	return func(ctx context.Context, s database.Shadow) ([]ship.Breakage, error) {
		url, err := s.AppURL()
		if err != nil {
			return nil, err
		}
		failed, err := w.smokeOn(ctx, spec, led(r, spec.Vars, spec.Environment, url))
		hidden := mask.New(append(secretsOf(spec.Environment, spec.Vars), url)...)
		for i := range failed {
			failed[i].Message = hidden.String(failed[i].Message)
		}
		return failed, hidden.Error(err)
	}, nil
}

// smokeOn starts a web instance that no traffic reaches, asks it what its
// health and smoke checks ask, and ends it. What fails is returned.
func (w *work) smokeOn(ctx context.Context, spec platform.Spec, vars map[string]ship.Secret) ([]ship.Breakage, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	vars["PORT"] = ship.NewSecret(port)
	h := spec.Environment.Health
	instance := w.runBeside(ctx, spec, platform.Command{
		Argv: spec.Environment.Run.Processes[ship.Web].Command, Vars: vars,
		Timeout: h.GiveUp + time.Duration(len(spec.Environment.Smoke)+1)*h.Timeout + time.Minute,
	})
	t := health.Target{Address: address, Path: h.Path, Host: probeHost(spec.Environment), Timeout: h.Timeout}
	failed := checked(ctx, t, spec.Environment, instance.exited)
	if err := instance.end(); err != nil {
		return nil, err
	}
	return failed, ctx.Err()
}

// checked asks a target what decides on a release before traffic comes.
func checked(ctx context.Context, t health.Target, env ship.Environment, exited func() string) (failed []ship.Breakage) {
	h := env.Health
	broken := func(path, why string, status int) {
		code := ""
		if status > 0 {
			code = strconv.Itoa(status)
		}
		failed = append(failed, ship.Breakage{Probe: smokeProbe, Statement: http.MethodGet + " " + path, Code: code, Message: why})
	}
	err := health.Wait(ctx, []health.Target{t}, health.Settings{HealthyAfter: h.HealthyAfter, Every: h.Every, GiveUp: h.GiveUp, Exited: exited}, nil)
	if err != nil {
		broken(h.Path, err.Error(), 0)
		return failed
	}
	for _, path := range env.Smoke {
		t.Path = path
		if r := health.Probe(ctx, t); !r.OK && (r.Status < 300 || r.Status > 399) {
			broken(path, r.Explain, r.Status)
		}
	}
	return failed
}

// A beside is a command that runs while something else is done.
type beside struct {
	cancel context.CancelFunc
	done   chan struct{}
	result platform.Result
	err    error // of asking the platform, not of the command
}

func (w *work) runBeside(ctx context.Context, spec platform.Spec, c platform.Command) *beside {
	ctx, cancel := context.WithCancel(ctx)
	b := &beside{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.result, b.err = w.platform.Run(ctx, spec, c)
	}()
	return b
}

// exited says how the command ended, or "".
func (b *beside) exited() string {
	select {
	case <-b.done:
	default:
		return ""
	}
	if b.err != nil {
		return "it could not be started: " + b.err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b.result.Stderr)), "\n")
	return fmt.Sprintf("it ended with exit code %d: %s", b.result.Code, lines[len(lines)-1])
}

// end has the platform end the command, and waits for it. That it ran on until
// now is as it should be.
func (b *beside) end() error {
	select {
	case <-b.done:
		b.cancel()
		return b.err
	default:
	}
	b.cancel()
	<-b.done
	return nil
}

// freeAddress returns one on which nothing listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
