package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/gate/command"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const shopTests = `import django

django.setup()

from django.test import SimpleTestCase

from catalog.models import Product


class ProductTest(SimpleTestCase):
    def test_it_is_shown_by_its_name(self):
        self.assertEqual(str(Product(name="lock")), "lock")

    def test_it_costs_something(self):
        self.assertEqual(Product(name="lock", price_cents=118).price_cents, 119, "VAT is missing")
`

func TestTheTestsOfTheDjangoShopAreReadFromPytest(t *testing.T) {
	requirements := testneed.Requirements(t, "../../../examples/django/requirements.txt")
	python := filepath.Join(testneed.Python(t, append(requirements, "pytest==9.2.0", "pytest-cov==7.1.0")...), "bin", "python")
	c := gatetest.Candidate(t)
	if err := os.CopyFS(c.Dir, os.DirFS("../../../examples/django")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "test_shop.py"), []byte(shopTests), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"SECRET_KEY": "x", "DATABASE_URL": "sqlite:////nowhere/shop.db", "DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONDONTWRITEBYTECODE": "1"} {
		t.Setenv(name, value)
	}
	for _, tt := range []struct {
		only string
		want ship.Outcome
		says []string
	}{
		{"shown", ship.Pass, []string{"1 tests passed", "lines are covered"}},
		{"test", ship.Fail, []string{"ended with exit code 1: 1 of 2 tests failed: test_shop.ProductTest.test_it_costs_something: AssertionError: 118 != 119 : VAT is missing"}},
	} {
		var cfg command.Config
		if err := plugin.Decode(json.RawMessage(`{"junit":"junit.xml","cobertura":"coverage.xml","coverage":"1%"}`), &cfg); err != nil {
			t.Fatal(err)
		}
		cfg.Run = ship.Argv{python, "-m", "pytest", "-q", "-k", tt.only, "test_shop.py", "-p", "no:cacheprovider", "--junitxml=junit.xml", "--cov=catalog", "--cov-report=xml"}
		g, err := command.New(cfg, plugin.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := g.Judge(t.Context(), c)
		if err != nil || v.Outcome != tt.want || v.Report == nil || len(v.Report.Figures) < 4 {
			t.Fatalf("%s: %+v, %v", tt.only, v, err)
		}
		for _, says := range tt.says {
			if !strings.Contains(v.Reason, says) {
				t.Errorf("%s: %s, want %s", tt.only, v.Reason, says)
			}
		}
	}
}
