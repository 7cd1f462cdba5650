package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

type shop struct {
	switches
	db      *sql.DB
	release string
	served  atomic.Int64
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /{$}", s.misbehave(s.home))
	for _, slash := range []string{"", "/{$}"} {
		mux.HandleFunc("GET /products"+slash, s.misbehave(s.products))
		mux.HandleFunc("POST /orders"+slash, s.misbehave(s.order))
		mux.HandleFunc("GET /orders"+slash, s.count)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Shop-Version", s.version)
		w.Header().Set("X-Shop-Release", s.release)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// misbehave applies the switches to a page, before the page does anything: an
// order that is answered with 500 was not taken.
func (s *shop) misbehave(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if n := s.served.Add(1); s.errors > 0 && n%s.errors == 0 {
			http.Error(w, "this version does so on purpose", http.StatusInternalServerError)
			return
		}
		if s.delay > 0 {
			timer := time.NewTimer(s.delay)
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
	if s.neverWell {
		http.Error(w, "this version is never well", http.StatusServiceUnavailable)
		return
	}
	// Not only a ping: without its tables the shop cannot serve.
	var n int
	if err := s.db.QueryRowContext(r.Context(), "SELECT count(*) FROM products").Scan(&n); err != nil {
		http.Error(w, "database: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (s *shop) home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>Shop</title><h1>Shop</h1><p>Version %s, release %s. <a href=/products>Products</a>\n", s.version, s.release)
}

type product struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Price int64  `json:"price"` // cents
}

func (s *shop) products(w http.ResponseWriter, r *http.Request) {
	query := "SELECT id, name, price FROM products ORDER BY id LIMIT 1000"
	if s.noPrices {
		query = "SELECT id, name, 0 FROM products ORDER BY id LIMIT 1000"
	}
	rows, err := s.db.QueryContext(r.Context(), query)
	if err != nil {
		fail(w, err)
		return
	}
	defer rows.Close()
	all := []product{}
	for rows.Next() {
		var p product
		if err := rows.Scan(&p.ID, &p.Name, &p.Price); err != nil {
			fail(w, err)
			return
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"products": all})
}

// order takes an order once. That its key arrives again is counted, so that a
// test can tell whether somebody on the way sent a POST twice.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Key     string `json:"key"`
		Product int64  `json:"product"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil || in.Key == "" {
		http.Error(w, `send {"key": "…", "product": 1}`, http.StatusBadRequest)
		return
	}
	var attempts int
	err := s.db.QueryRowContext(r.Context(), `
		INSERT INTO orders (key, product, release) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET attempts = attempts + 1
		RETURNING attempts`, in.Key, in.Product, s.release).Scan(&attempts)
	if err != nil {
		fail(w, err)
		return
	}
	status := http.StatusCreated
	if attempts > 1 {
		status = http.StatusOK
	}
	reply(w, status, map[string]any{"key": in.Key, "duplicate": attempts > 1})
}

func (s *shop) count(w http.ResponseWriter, r *http.Request) {
	var orders, attempts int64
	row := s.db.QueryRowContext(r.Context(), "SELECT count(*), coalesce(sum(attempts), 0) FROM orders")
	if err := row.Scan(&orders, &attempts); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]int64{"orders": orders, "attempts": attempts})
}

func fail(w http.ResponseWriter, err error) {
	http.Error(w, "database: "+err.Error(), http.StatusInternalServerError)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
