package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"sync"

	"github.com/shiplock/shiplock/internal/audit"
	"github.com/shiplock/shiplock/internal/peer"
	"github.com/shiplock/shiplock/internal/ship"
)

type peerKey struct{}

// WithPeer remembers who made a connection, for the audit log. It is a server's
// ConnContext.
func WithPeer(ctx context.Context, c net.Conn) context.Context {
	cred, err := peer.Of(c)
	if err != nil {
		return ctx
	}
	return WithCred(ctx, cred)
}

// WithCred says who asks, where there is no socket that knows.
func WithCred(ctx context.Context, cred peer.Cred) context.Context {
	return context.WithValue(ctx, peerKey{}, cred)
}

// actor names who asks, as the kernel knows it: "ann (uid 1000)".
func actor(ctx context.Context) string {
	cred, ok := ctx.Value(peerKey{}).(peer.Cred)
	if !ok {
		return "unknown"
	}
	uid := strconv.Itoa(cred.UID)
	u, err := user.LookupId(uid)
	if err != nil {
		return "uid " + uid
	}
	return fmt.Sprintf("%s (uid %s)", u.Username, uid)
}

// A wish is what a request asks for.
type wish struct {
	action string
	env    ship.EnvironmentID
	by     string // as the client says
	detail string
}

// wished is what one HTTP request asked for, once it did.
type wished struct {
	entry audit.Entry
	came  string // of it, when it succeeds
}

type wishKey struct{}

// auditor writes the audit log.
type auditor struct {
	mu   sync.Mutex
	owed []audit.Entry // of rollbacks that were let through although they could not be written
}

// asks writes down what is asked for, before anything is done. When it cannot
// be written nothing is done either, unless it is a rollback: going back to
// safety waits for no book-keeping.
func (s *server) asks(r *http.Request, w wish) error {
	e := audit.Entry{Actor: actor(r.Context()), Says: w.by, Action: w.action, App: w.env.App, Env: w.env.Name, Detail: w.detail, Outcome: audit.Asked}
	e, err := s.log(r.Context(), e)
	if err != nil && w.action == ship.VerbRollback {
		s.Log.Error("a rollback goes on although the audit log cannot be written", "environment", w.env, "error", err)
		s.audit.mu.Lock()
		defer s.audit.mu.Unlock()
		s.audit.owed = append(s.audit.owed, e)
		return nil
	}
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if of, ok := r.Context().Value(wishKey{}).(*wished); ok {
		of.entry = e
	}
	return nil
}

// log appends an entry, after those that are owed.
func (s *server) log(ctx context.Context, e audit.Entry) (audit.Entry, error) {
	s.audit.mu.Lock()
	defer s.audit.mu.Unlock()
	for len(s.audit.owed) > 0 {
		if _, err := s.Store.AddAudit(ctx, s.audit.owed[0]); err != nil {
			return e, err
		}
		s.audit.owed = s.audit.owed[1:]
	}
	written, err := s.Store.AddAudit(ctx, e)
	if err != nil {
		return e, err
	}
	s.Log.Info("audit", "seq", written.Seq, "action", e.Action, "environment", e.Where(), "actor", e.Actor, "outcome", e.Outcome, "hash", written.Hash)
	return written, nil
}

// came says what became of a request that asked for a change.
func came(r *http.Request, what string) {
	if of, ok := r.Context().Value(wishKey{}).(*wished); ok {
		of.came = what
	}
}

// listened has the audit log say what became of what was asked for, also when
// h panics.
func (s *server) listened(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		of := &wished{came: "done"}
		err = errors.New("it broke off")
		defer func() { s.answered(r, of, err) }()
		return h(w, r.WithContext(context.WithValue(r.Context(), wishKey{}, of)))
	}
}

// answered writes what became of a request, if it asked for a change.
func (s *server) answered(r *http.Request, of *wished, err error) {
	e := of.entry
	if e.Seq == 0 {
		return
	}
	if err != nil {
		of.came = fmt.Sprintf("%s: %s", ship.KindOf(err), cut(err.Error(), 500))
	}
	outcome := fmt.Sprintf("answers %d: %s", e.Seq, of.came)
	_, err = s.log(context.WithoutCancel(r.Context()), audit.Entry{Actor: e.Actor, Says: e.Says, Action: e.Action, App: e.App, Env: e.Env, Outcome: outcome})
	if err != nil {
		s.Log.Error("what became of a request is not in the audit log", "entry", e.Seq, "outcome", outcome, "error", err)
	}
}

func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// auditLog writes entries, one JSON object a line, oldest first.
func (s *server) auditLog(w http.ResponseWriter, r *http.Request) error {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for {
		some, err := s.Store.Audit(r.Context(), after, 1000)
		if err != nil || len(some) == 0 {
			return err
		}
		for e := range slices.Values(some) {
			if err := enc.Encode(e); err != nil {
				return fmt.Errorf("write entry: %w", err)
			}
		}
		after = some[len(some)-1].Seq
	}
}
