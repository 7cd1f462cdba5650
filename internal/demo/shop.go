package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Fault is what is wrong with a release of the sample shop. Health checks
// pass with any of them: they are the faults that health checks do not find.
type Fault string

// The faults.
const (
	NoFault Fault = ""
	Errors  Fault = "errors" // one request in twenty is answered with 500
	Slow    Fault = "slow"   // one request in five takes three seconds
)

const (
	errorEvery = 20
	slowEvery  = 5
	slowness   = 3 * time.Second
	shopGrace  = 8 * time.Second // Shutdown waits 5 s for a connection that has not asked anything yet
)

// ShopOptions are the settings of the sample shop.
type ShopOptions struct {
	Listen  string // host:port
	DB      string // path of the SQLite file, which migrations have made
	Release string // shown in the header X-Release
	Notes   bool   // the code that knows orders.note
	Fault   Fault
	Ready   func(addr string) // when not nil, called once it listens
}

// ParseShop reads the options from the arguments of `shiplock demo-shop`.
func ParseShop(args []string) (ShopOptions, error) {
	var o ShopOptions
	f := flag.NewFlagSet("demo-shop", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "")
	f.StringVar(&o.DB, "db", "", "")
	f.StringVar(&o.Release, "release", "v1", "")
	f.BoolVar(&o.Notes, "notes", false, "")
	fault := f.String("fault", "", "")
	if err := f.Parse(args); err != nil {
		return o, ship.Errorf(ship.Invalid, "it is part of shiplock demo", "demo-shop: %w", err)
	}
	o.Fault = Fault(*fault)
	if o.DB == "" || f.NArg() > 0 || o.Fault != NoFault && o.Fault != Errors && o.Fault != Slow {
		return o, ship.Errorf(ship.Invalid, "it is part of shiplock demo", "demo-shop: needs --db, knows the faults %q and %q", Errors, Slow)
	}
	return o, nil
}

// Shop serves the sample shop until ctx ends, and then answers the requests it
// has. It needs a driver named sqlite, which the binary has.
func Shop(ctx context.Context, o ShopOptions, log *slog.Logger) error {
	db, err := openDB(o.DB)
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("demo-shop: %w", err)
	}
	s := &shop{o: o, db: db, log: log}
	srv := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	log.Info("shop listens", "address", l.Addr().String(), "release", o.Release)
	if o.Ready != nil {
		o.Ready(l.Addr().String())
	}
	select {
	case err := <-served:
		return fmt.Errorf("demo-shop: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shopGrace)
	defer cancel()
	err = srv.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	if why := <-served; !errors.Is(why, http.ErrServerClosed) {
		err = errors.Join(err, why)
	}
	return err
}

// openDB opens the file the way a web application does that shares it with
// migrations: readers do not wait for a writer, writers wait for each other.
func openDB(path string) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)"}, "_txlock": {"immediate"}, "mode": {"rw"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("demo-shop: %w", err)
	}
	db.SetMaxOpenConns(8)
	return db, nil
}

type shop struct {
	o     ShopOptions
	db    *sql.DB
	log   *slog.Logger
	count atomic.Int64 // requests that may have the fault
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /{$}", s.faulty(s.home))
	mux.HandleFunc("GET /products", s.faulty(s.products))
	mux.HandleFunc("POST /orders", s.faulty(s.order))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Release", s.o.Release)
		mux.ServeHTTP(w, r)
	})
}

// faulty wraps a page in the fault of this release. The fault comes before the
// work, so that an order that was answered with an error was not taken.
func (s *shop) faulty(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := s.count.Add(1)
		switch {
		case s.o.Fault == Errors && n%errorEvery == 0:
			http.Error(w, "the price service returned a number that is not one", http.StatusInternalServerError)
			return
		case s.o.Fault == Slow && n%slowEvery == 0:
			timer := time.NewTimer(slowness)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
				return
			}
		}
		page(w, r)
	}
}

func (s *shop) health(w http.ResponseWriter, r *http.Request) {
	if err := s.db.PingContext(r.Context()); err != nil {
		http.Error(w, "database: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (s *shop) home(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintf(w, "<!doctype html><title>Shop</title><h1>Shop</h1><p>Release %s. See the <a href=/products>products</a>.\n", s.o.Release)
}

type product struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Price int64  `json:"price"` // cents
}

func (s *shop) products(w http.ResponseWriter, r *http.Request) {
	rows, err := s.db.QueryContext(r.Context(), "SELECT id, name, price FROM products ORDER BY id LIMIT 100")
	if err != nil {
		s.broken(w, err)
		return
	}
	defer rows.Close()
	all := []product{}
	for rows.Next() {
		var p product
		if err := rows.Scan(&p.ID, &p.Name, &p.Price); err != nil {
			s.broken(w, err)
			return
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		s.broken(w, err)
		return
	}
	reply(w, http.StatusOK, all)
}

// order takes an order. Its id is not unique in the table on purpose: an order
// that arrives twice is there twice, and can be counted.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID      string `json:"id"`
		Product int64  `json:"product"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil || in.ID == "" {
		http.Error(w, `send {"id": "…", "product": 1}`, http.StatusBadRequest)
		return
	}
	query, args := "INSERT INTO orders (id, product, release) VALUES (?, ?, ?)", []any{in.ID, in.Product, s.o.Release}
	if s.o.Notes {
		query, args = "INSERT INTO orders (id, product, release, note) VALUES (?, ?, ?, ?)", append(args, "thank you")
	}
	if _, err := s.db.ExecContext(r.Context(), query, args...); err != nil {
		s.broken(w, err)
		return
	}
	reply(w, http.StatusCreated, map[string]string{"id": in.ID})
}

func (s *shop) broken(w http.ResponseWriter, err error) {
	s.log.Error("request failed", "error", err)
	// Not 500, which is what the fault answers: see Run.
	http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
