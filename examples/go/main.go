// Command shop is a small web shop on SQLite: an application to deploy with
// shiplock. It knows nothing of shiplock.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite"
)

const grace = 10 * time.Second

type options struct {
	listen   string
	database string
	version  string // path of the file
	release  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	var show bool
	f := flag.NewFlagSet("shop", flag.ContinueOnError)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8000", "`address` to listen at")
	f.StringVar(&o.database, "database", os.Getenv("DATABASE_URL"), "`URL` of the database, sqlite:////absolute/path; default DATABASE_URL")
	f.StringVar(&o.version, "version-file", "VERSION", "`file` with the version and the switches")
	f.StringVar(&o.release, "release", os.Getenv("SHIPLOCK_RELEASE"), "`number` shown in X-Shop-Release")
	f.BoolVar(&show, "version", false, "print the version and end")
	if err := f.Parse(args); err != nil {
		return err
	}
	sw, err := readSwitches(o.version)
	if err != nil {
		return err
	}
	if show {
		_, err := fmt.Println(sw.version)
		return err
	}
	db, err := open(o.database)
	if err != nil {
		return err
	}
	defer db.Close()
	return serve(ctx, o, &shop{db: db, release: o.release, switches: sw})
}

// open opens the file so that several processes may use it: writers wait for
// each other, readers wait for nobody. The schema is the migrations' business,
// and so is making the file.
func open(text string) (*sql.DB, error) {
	path, ok := strings.CutPrefix(text, "sqlite:///")
	if !ok || path == "" {
		return nil, fmt.Errorf("the database is named by sqlite:////absolute/path, not %q", text)
	}
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)"}, "_txlock": {"immediate"}, "mode": {"rw"}}
	return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
}

// serve answers requests until ctx ends, then those that are under way.
func serve(ctx context.Context, o options, s *shop) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	log.Info("listening", "address", l.Addr().String(), "version", s.version)
	if s.crashAfter > 0 {
		time.AfterFunc(s.crashAfter, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	}
	srv := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err = srv.Shutdown(ctx)
	if why := <-ended; !errors.Is(why, http.ErrServerClosed) {
		err = errors.Join(err, why)
	}
	return err
}
