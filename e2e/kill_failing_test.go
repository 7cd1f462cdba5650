package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A ruin is a release that fails, and how it ends whatever is killed.
type ruin struct {
	name   string
	spoil  func(*trade)
	step   string
	after  time.Duration
	code   int
	kind   ship.Kind
	schema ship.SchemaState // the first time; later the migration is there already
}

var ruins = []ruin{
	{"failing", func(s *trade) {
		s.change(fmt.Sprintf("catalog/migrations/%d_mark.py", 1000+s.releases), "SELECT pg_sleep(0.3)", "SELECT pg_sleep(0.3), 1 / 0")
	}, "migrate", 600 * time.Millisecond, 10, ship.MigrationFailed, ship.SchemaUnchanged},
	{"never-healthy", func(s *trade) {
		s.write("VERSION", "2\nhealth=never\n", 0o644)
		s.change("shiplock.yaml", "give_up: 30s", "give_up: 4s")
	}, "health", time.Second, 3, ship.Failed, ship.SchemaAhead},
	{"errors", func(s *trade) {
		s.write("VERSION", "2\nerror_rate=0.5\n", 0o644)
		s.change("shiplock.yaml", "warmup: [/, /products/]\nsmoke: [/products/]\n", "")
		s.change("shiplock.yaml", "watch: {for: 700ms, error_rate: 50%", "watch: {for: 30s, error_rate: 5%")
	}, "watch", 300 * time.Millisecond, 4, ship.RolledBack, ship.SchemaUnchanged},
}

// A release that fails ends as it would have, whichever of our processes dies
// while that is found out.
func TestDjangoKillWhileARunFails(t *testing.T) {
	t.Parallel()
	s := djangoTrade(t)
	s.next("")
	s.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 1)
	r := &series{trade: s, u: s.users()}
	for _, c := range ruins {
		for i, victim := range ours {
			s.next("")
			c.spoil(s)
			schema := c.schema
			if i > 0 {
				schema = ship.SchemaUnchanged
			}
			k := killing{step: c.step, victim: victim, after: c.after}
			e := r.strikeIn(k, "deploy", "production", "--wait=watched").end()
			s.w.disarm()
			t.Logf("%s, %s: exit code %d, %s", c.name, k, e.code, e.Reason)
			e.expect(t, c.code, c.kind, schema, 1)
			r.failed(k, e)
			s.releases, s.marked = s.releases-1, s.marked[:len(s.marked)-1]
		}
	}
	s.next("")
	s.do("deploy", "production", "--wait=watched").expectPassed(t)
	s.serves(s.products, 2)
	s.appliedOnce("in the end")
	r.u.allow("500")
	sum := r.u.stop()
	s.takenOnce(s.orders, sum.Posts)
}

// failed fails the test unless the end is the same wherever one looks.
func (r *series) failed(k killing, e ended) {
	t := r.w.t
	t.Helper()
	last := r.settled()[0]
	if last.ID != e.Run || last.Result.Kind != e.Kind || last.Result.Reason != e.Reason || last.Status != ship.Broken {
		t.Errorf("%s: run %s said %q, the history has %s as %s: %q", k, e.Run, e.Reason, last.ID, last.Status, last.Result.Reason)
	}
	if open := r.status().Open; open != nil {
		t.Errorf("%s: run %s is still open: %s", k, open.ID, open.Status)
	}
	if r.bell.times(e.Run) == 0 {
		t.Errorf("%s: nobody was told how run %s ended", k, e.Run)
	}
	r.serves(r.products, 1)
	if left := r.query("SELECT migration || ' ' || status FROM _shiplock.migration WHERE status <> 'done'"); e.Kind != ship.MigrationFailed && len(left) > 0 {
		t.Errorf("%s: the ledger has open entries: %s", k, strings.Join(left, ", "))
	}
}
