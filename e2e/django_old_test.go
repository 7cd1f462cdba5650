package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// oldDjango is what Debian 12 has: the last Django of the 3.2 series, on the
// Python of the machine, with the driver of its time.
var oldDjango = []string{
	"asgiref==3.13.0", "Django==3.2.25", "gunicorn==27.0.1", "psycopg2-binary==2.9.13", "pytz==2026.6", "sqlparse==0.6.1", "whitenoise==5.3.0",
}

func TestDjangoOfDebianFromReleaseToReleaseAndBack(t *testing.T) {
	t.Parallel()
	url := testneed.Postgres(t)
	testneed.Python(t, oldDjango...)
	p := newWorld(t).newProject("django", map[string]string{"DATABASE_URL": url, "SECRET_KEY": "canary-key-5f1c0b7e"})
	p.write("shiplock.yaml", fmt.Sprintf(djangoYAML, p.port, "1s"), 0o644)
	old := func(variant string) {
		p.next(variant)
		p.write("requirements.txt", strings.Join(oldDjango, "\n")+"\n", 0o644)
	}

	old("")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := p.traffic(20)

	// A migration that fails in its transaction, and one that adds.
	old("failing")
	p.do("deploy", "production").expect(t, 10, ship.MigrationFailed, ship.SchemaUnchanged, 1)
	old("additive")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 3)

	// The release that was gone back to survives its own restart.
	p.do("rollback", "production", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	restartInstances(t, p)
	tr.stop()
	ordersTakenOnce(t, p, url)
	if got := rows(t, url, `SELECT count(*)::text FROM django_migrations WHERE app = 'catalog' AND name LIKE '0003%'`); len(got) != 1 || got[0] != "1" {
		t.Errorf("Django's history has %v of the additive migration", got)
	}
}
