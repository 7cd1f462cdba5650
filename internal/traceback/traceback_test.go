package traceback_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/traceback"
)

func TestReasonIsTheLastExceptionAndItsPlace(t *testing.T) {
	const chained = `Operations to perform:
Traceback (most recent call last):
  File "/venv/django/db/backends/utils.py", line 105, in _execute
    return self.cursor.execute(sql, params)
psycopg.errors.DuplicateColumn: column "a" of relation "b" already exists

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/manage.py", line 15, in <module>
    main()
  File "/app/shop/migrations/0003_a.py", line 7, in add
    ~~~~~^^
  File "/venv/django/db/utils.py", line 91, in __exit__
    raise dj_exc_value.with_traceback(traceback) from exc_value
django.db.utils.ProgrammingError: column "a" of relation "b" already exists
DETAIL:  really
`
	for name, c := range map[string]struct{ stderr, want string }{
		"a chain":            {chained, "django.db.utils.ProgrammingError: column \"a\" of relation \"b\" already exists\nDETAIL:  really (/app/shop/migrations/0003_a.py line 7)"},
		"no traceback":       {"CommandError: Conflicting migrations\n\n", "CommandError: Conflicting migrations"},
		"only the last":      {"a\nb\nc\nd\ne\nf\n", "b\nc\nd\ne\nf"},
		"nothing":            {"", ""},
		"Windows":            {"Traceback (most recent call last):\r\n  File \"x\", line 1\r\nKeyError: 'A'\r\n", "KeyError: 'A'"},
		"cut before its end": {"Traceback (most recent call last):\n  File \"x\", line 1, in y\n", "Traceback (most recent call last):\nFile \"x\", line 1, in y"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := traceback.Reason([]byte(c.stderr), regexp.MustCompile(`/migrations/`)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestReasonIsBounded(t *testing.T) {
	got := traceback.Reason([]byte("Traceback (most recent call last):\nError: "+strings.Repeat("é", 5000)), nil)
	if len(got) > 2100 || !strings.HasSuffix(got, "é…") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
	}
}
