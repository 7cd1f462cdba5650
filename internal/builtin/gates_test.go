package builtin_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
)

const head = "app: shop\nrun: {processes: {web: serve}}\n"

// with puts gates into a whole file, in which an environment wants them all.
func with(gates string) string {
	if strings.Contains(gates, "environments:") {
		return head + gates
	}
	return head + "environments: {staging: {}}\n" + gates
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema(builtin.Known())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

var block = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestEveryExampleOfTheGatesIsReadAndEveryKindHasOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/gates.md")
	if err != nil {
		t.Fatal(err)
	}
	s := compiled(t)
	seen := map[string]bool{}
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		example := with(found[1])
		if strings.Contains(example, "gates: [unit, scan") {
			example = strings.Replace(example, "gates: [unit, scan, smoke, load]", "gates: [unit]", 1)
		}
		f, err := config.Parse("gates.md", []byte(example), "/srv/shop", builtin.Known())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if err := validate(t, s, example); err != nil {
			t.Errorf("the schema refuses %s: %v", found[1], err)
		}
		for _, name := range append(f.IdleGates(), "unit") {
			own := strings.Replace(example, "environments: {staging: {}}", "environments: {staging: {gates: ["+name+"]}}", 1)
			if f, err = config.Parse("gates.md", []byte(own), "/srv/shop", builtin.Known()); err != nil {
				continue // no unit there
			}
			env, err := f.Environment("staging")
			if err != nil || len(env.Gates) != 1 {
				t.Fatalf("%s: %v", name, err)
			}
			seen[env.Gates[0].Plugin.Kind] = true
			wantRunning := name == "e2e" || name == "smoke" || name == "load" || name == "peak"
			if g := env.Gates[0]; g.Running != wantRunning || g.Alone != (name == "load" || name == "peak") {
				t.Errorf("gate %s: running %v, alone %v", name, g.Running, g.Alone)
			}
		}
	}
	for _, kind := range builtin.Gates().Kinds() {
		if !seen[kind] {
			t.Errorf("docs/gates.md has no example of %s", kind)
		}
	}
}

func TestAMistakeInAGateHasItsPlaceAndTheSchemaRefusesItToo(t *testing.T) {
	s := compiled(t)
	for _, tt := range []struct {
		gate, at, says string
		lenient        bool // the schema cannot tell
	}{
		{"{load: {userz: 5}}", "14", `unknown key "userz"` + "\n", false},
		{"{load: {users: many}}", "21", `expected a whole number, found "many"`, false},
		{"{load: {paths: [/, {path: /x, wieght: 2}]}}", "36", `unknown key "wieght"`, false},
		{"{load: {paths: [/, {path: /x, weight: 2000}]}}", "21", "weight 2000", false},
		{"{load: {for: soon}}", "19", `"soon" is no duration`, false},
		{"{load: {rate: 5, users: 5}}", "20", "a load is of so many users", true},
		{"{http: {requests: [{path: x}]}}", "32", `"x" is not a path`, false},
		{"{http: {}}", "7", "there must be 1 to 200 requests", true},
		{"{run: pytest, junitt: a.xml}", "20", `unknown key "junitt"`, false},
		{"{run: pytest, coverage: 80}", "30", "where the coverage can be read", true},
		{"{run: pytest, load: {users: 1}}", "20", `a gate has one kind, this one is already "command"`, false},
		{"{load: {users: 1}, http: {requests: [/]}}", "25", `a gate has one kind, this one is already "load"`, false},
		{"{run: bandit, sarif: a, fail_on: high}", "39", `"high" is no level`, false},
		{"{run: bandit, sarif: /etc/a}", "27", "is no file in the release", true},
		{"{scan: {sarif: a}}", "7", "a scan needs a command", true},
		{"{window: {hours: 9-5}}", "23", `"9-5" is no part of a day`, false},
		{"{window: {zone: Berlin}}", "22", `"Berlin" is no time zone`, true},
		{`{metrics: {url: "http://p", query: up, is: big}}`, "49", `"big" is no comparison`, false},
		{"{rehearsal: {max_lock: soon}}", "7", `"soon" is no time`, true},
		{"{timeout: 5m}", "6", "the gate has no kind", false},
		{"{laod: {}}", "7", `did you mean "load"?`, false},
		{`{run: "pytest 'x"}`, "20", "quote is not closed", true},
	} {
		text := with("gates:\n  g: " + tt.gate + "\n")
		_, err := config.Parse("f.yaml", []byte(text), "/srv/shop", builtin.Known())
		line := strings.Count(text[:strings.Index(text, "  g:")], "\n") + 1
		at := "f.yaml:" + strconv.Itoa(line) + ":" + tt.at + ": "
		if err == nil || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: want %s%s, got\n%v", tt.gate, at, tt.says, err)
		}
		if strings.Count(err.Error(), "f.yaml:") != 1 {
			t.Errorf("%s: not one problem:\n%v", tt.gate, err)
		}
		if err := validate(t, s, text); err == nil && !tt.lenient {
			t.Errorf("the schema takes %s", tt.gate)
		}
	}
}

func TestAScanIsACommandWhoseFindingsAreRead(t *testing.T) {
	text := strings.Replace(with("gates:\n  g: {run: bandit -r src, sarif: a.sarif, warning: 3}\n"), "{staging: {}}", "{staging: {gates: [g]}}", 1)
	f, err := config.Parse("f.yaml", []byte(text), "/srv/shop", builtin.Known())
	if err != nil {
		t.Fatal(err)
	}
	env, err := f.Environment("staging")
	if err != nil {
		t.Fatal(err)
	}
	want := ship.Plugin{Kind: "scan", Config: json.RawMessage(`{"run":["bandit","-r","src"],"sarif":"a.sarif","warning":3}`)}
	if got := env.Gates[0].Plugin; got.Kind != want.Kind || string(got.Config) != string(want.Config) {
		t.Errorf("%s %s", got.Kind, got.Config)
	}
}
