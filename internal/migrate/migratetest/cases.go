package migratetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

func freshDatabase(t *testing.T, s *suite) {
	files, err := s.Tool.Files(s.Project.Tree)
	if err != nil {
		t.Fatalf("Files: %v", err)
	}
	l := s.list(t, s.Project)
	ids := map[string]bool{}
	for i, m := range l.Migrations {
		if ids[m.ID] || m.ID == "" {
			t.Errorf("ID %q is empty or used twice", m.ID)
		}
		ids[m.ID] = true
		at := slices.IndexFunc(files, func(f ship.Migration) bool { return f.ID == m.ID })
		if at < 0 {
			t.Errorf("%s is listed, but has no file", m.ID)
			continue
		}
		f := files[at]
		if f.File == "" || f.File != m.File || f.Checksum != m.Checksum {
			t.Errorf("%s is %s %s by its file, %s %s as listed", m.ID, f.File, f.Checksum, m.File, m.Checksum)
		}
		if hex, ok := strings.CutPrefix(f.Checksum, "sha256:"); !ok || len(hex) != 64 {
			t.Errorf("the checksum of %s is %q", m.ID, f.Checksum)
		}
		if f.Applied {
			t.Errorf("%s is applied according to its file", m.ID)
		}
		if i < len(s.Tables)-1 && !m.Reversible && m.WhyNot == "" {
			t.Errorf("%s is not reversible and nothing says why", m.ID)
		}
	}
	if len(files) < len(l.Migrations) {
		t.Errorf("%d files, %d migrations", len(files), len(l.Migrations))
	}
	s.applied(t, 0)
	if tables := s.DB.Tables(); len(tables) > 0 {
		t.Errorf("reading made tables: %v", tables)
	}
}

func upOneByOne(t *testing.T, s *suite) {
	l := s.list(t, s.Project)
	for i, m := range l.Migrations {
		fence := s.up(t, m)
		s.applied(t, i+1)
		if !s.records() {
			continue
		}
		r, ok := s.record(t, m.ID)
		if !ok || r.Status != ship.RecordDone || r.Checksum != m.Checksum || r.Run != fence.Run || r.Epoch != fence.Epoch ||
			r.Release == "" || r.Tool == "" || r.At.IsZero() {
			t.Errorf("the record of %s is %+v", m.ID, r)
		}
	}
}

func upTwice(t *testing.T, s *suite) {
	l := s.list(t, s.Project)
	s.up(t, l.Migrations[0])
	if err := s.Tool.Up(t.Context(), s.project(s.Project), l.Migrations[0]); err != nil {
		t.Logf("refused: %v", err)
	}
	s.applied(t, 1)
}

func downAndUp(t *testing.T, s *suite) {
	all := s.upAll(t)
	i := len(all) - 1
	for ; i >= 0 && all[i].Reversible; i-- {
		if err := s.Tool.Down(t.Context(), s.project(s.Project), all[i]); err != nil {
			t.Fatalf("Down %s: %v", all[i].ID, err)
		}
		s.applied(t, i)
		if r, ok := s.record(t, all[i].ID); ok && s.records() {
			t.Errorf("the ledger still has %+v", r)
		}
	}
	if i == len(all)-1 {
		t.Fatalf("the last migration of the project has no way down: %s", all[i].WhyNot)
	}
	for _, m := range all[i+1:] {
		s.up(t, m)
	}
	s.applied(t, len(all))
}

func unknownNoticed(t *testing.T, s *suite) {
	s.upAll(t)
	l := s.list(t, s.Without(t))
	if len(l.Unknown) != 1 || l.Unknown[0] == "" {
		t.Errorf("the file of an applied migration is gone, unknown is %q", l.Unknown)
	}
	for _, m := range l.Migrations {
		if !m.Applied {
			t.Errorf("%s is not applied any more", m.ID)
		}
	}
}

func dirtyNoticed(t *testing.T, s *suite) {
	if s.Dirty == nil {
		t.Log("the tool has no such mark")
		return
	}
	all := s.list(t, s.Project).Migrations
	s.up(t, all[0])
	s.Dirty(t)
	if l := s.list(t, s.Project); l.Dirty == "" {
		t.Error("the mark is not noticed")
	}
	if err := s.Tool.Up(t.Context(), s.project(s.Project), all[1]); err == nil {
		t.Error("the next migration was applied on top of a half-done one")
	}
}

func failureIsTold(t *testing.T, s *suite) {
	s.upAll(t)
	p, table := s.Fail(t)
	l := s.list(t, p)
	m := l.Migrations[len(l.Migrations)-1]
	if m.Applied || len(l.Migrations) != len(s.Tables)+1 {
		t.Fatalf("the failing migration is not listed last: %+v", l.Migrations)
	}
	err := s.Tool.Up(t.Context(), s.project(p), m)
	if err == nil {
		t.Fatal("a failing migration is reported as applied")
	}
	if kind := ship.KindOf(err); kind != ship.MigrationFailed {
		t.Errorf("kind %q: %v", kind, err)
	}
	l = s.list(t, p)
	if last := l.Migrations[len(l.Migrations)-1]; last.ID != m.ID || last.Applied {
		t.Errorf("after the failure the tool lists %+v", last)
	}
	state, left := s.observe(t, p, m), slices.Contains(s.DB.Tables(), table)
	switch {
	case state == migrate.StateApplied:
		t.Error("it is observed as applied")
	case m.Atomic && (left || state != migrate.StateNotApplied):
		t.Errorf("it is atomic; table %s is there: %v, observed as %s", table, left, state)
	case left && state == migrate.StateNotApplied && !s.records():
		t.Errorf("table %s is there, but it is observed as %s", table, state)
	}
	if r, ok := s.record(t, m.ID); s.records() && (ok && r.Status == ship.RecordDone || left && !ok) {
		t.Errorf("table %s is there: %v, the record is %+v", table, left, r)
	}
}
