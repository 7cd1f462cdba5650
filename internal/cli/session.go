package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
)

// session is what the commands of one run of the program share.
type session struct {
	in       io.Reader
	out, err io.Writer
	env      config.Environ

	file, server, data, output string
	state                      string        // run without a server, with the state there
	claim                      time.Duration // without a server: how long ours outlives us
	quiet, noColor             bool
	untilHealthy               bool     // a run is followed no longer than until health is proven
	onlyHere                   []string // files the chosen environment names by a path relative to here
}

func (s *session) json() bool { return s.output == "json" }

// print writes v as indented JSON, or what text prints.
func (s *session) print(v any, text func(w io.Writer)) error {
	switch s.output {
	case "json":
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "text":
		text(s.out)
		return nil
	}
	return usage{fmt.Errorf("unknown output format %q, known are text and json", s.output)}
}

// say prints progress for a person.
func (s *session) say(format string, args ...any) {
	if !s.quiet && !s.json() {
		fmt.Fprintf(s.err, format+"\n", args...)
	}
}

// load reads the configuration.
func (s *session) load() (*config.File, error) { return config.Load(s.file, builtin.Known()) }

// environment reads the configuration and decides one environment. Without a
// name it is the only one there is.
func (s *session) environment(args []string) (*config.File, ship.Environment, error) {
	f, err := s.load()
	if err != nil {
		return nil, ship.Environment{}, err
	}
	all := f.Environments()
	switch {
	case len(args) > 0:
		all = args[:1]
		fallthrough
	case len(all) == 1:
		env, err := f.Environment(all[0])
		s.onlyHere = f.OnlyHere(all[0])
		return f, env, err
	}
	return nil, ship.Environment{}, usage{fmt.Errorf("name an environment: %s has %s", s.file, strings.Join(all, ", "))}
}

// with connects to a server and hands its client to f.
func (s *session) with(ctx context.Context, configured string, f func(context.Context, *client.Client) error) error {
	if s.state != "" {
		return s.local(ctx, f)
	}
	address := s.server
	for _, a := range []string{s.env.Server, configured, app.SocketPath(s.data)} {
		if address == "" {
			address = a
		}
	}
	if strings.HasPrefix(address, "ssh://") && len(s.onlyHere) > 0 {
		return ship.Errorf(ship.Invalid, "put the file on that machine and name it by its absolute path there",
			"the server is on another machine (%s), where a path relative to %s is no file: %s", address, s.file, strings.Join(s.onlyHere, ", "))
	}
	c, err := client.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}

// local runs the engine in this process.
func (s *session) local(ctx context.Context, f func(context.Context, *client.Client) error) error {
	dir, err := stateDir(s.state)
	if err != nil {
		return err
	}
	if s.env.CI != config.CINone && !s.nodeHere() {
		return ship.Errorf(ship.Invalid, "use server: ssh://user@host, or a state that outlives this job",
			"--state %s is a file on a CI runner, where no node runs: the journal would be lost and nobody else kept out", s.state)
	}
	o, err := s.options()
	if err != nil {
		return err
	}
	o.State, o.Claim = dir, s.claim
	return app.Local(ctx, o, func(ctx context.Context, dial func(context.Context) (net.Conn, error)) error {
		c := client.Over("this process", dial)
		defer c.Close()
		if err := s.finishLeft(ctx, c); err != nil {
			return err
		}
		return f(ctx, c)
	})
}

// finishLeft waits for the runs that an earlier process with this state was
// killed in: nobody else would carry them on.
func (s *session) finishLeft(ctx context.Context, c *client.Client) error {
	runs, err := c.Runs(ctx, "", "", 0)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Status.Ended() || r.Status == ship.Paused || r.Status == ship.Queued {
			continue
		}
		s.say("! finishing run %s, which was left under way", r.ID)
		if _, err := c.Follow(ctx, r.ID, 0, func(ship.Event) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// nodeHere tells whether a node has been run with our data.
func (s *session) nodeHere() bool {
	_, err := os.Stat(app.Options{Dir: s.data}.NodeDir())
	return err == nil
}

func (s *session) options() (app.Options, error) {
	binary, err := os.Executable()
	if err != nil {
		return app.Options{}, fmt.Errorf("find this program: %w", err)
	}
	// The longest name of a socket below it must fit into an address.
	if longest := len(s.data) + len("/node/proxy/worker-4194304.sock"); longest > 107 {
		return app.Options{}, ship.Errorf(ship.Invalid, "give a shorter folder with --data", "the path of %s is too long by %d characters for the sockets in it", s.data, longest-107)
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return app.Options{}, ship.Errorf(ship.Invalid, "give another folder with --data", "make data folder: %w", err)
	}
	return app.Options{Dir: s.data, Version: version(), Binary: binary, Lookup: config.Lookup, Log: s.logger()}, nil
}

func quietLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (s *session) logger() *slog.Logger {
	if s.quiet {
		return quietLogger()
	}
	level := slog.LevelInfo
	if s.state != "" {
		level = slog.LevelError // the events say it better
	}
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
}

// who is at the keyboard, or which job.
func (s *session) who() string {
	if who := actor(); who != "" {
		return who
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "somebody"
}

// terminal tells whether a stream is one, and may be drawn on.
func (s *session) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && s.env.Term != "dumb" && term.IsTerminal(int(f.Fd()))
}
