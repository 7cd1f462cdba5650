package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/config"
)

// pipelineOf is a file whose second environment says something about its place in the
// pipeline, on line 5.
func pipelineOf(says string) string {
	return "app: shop\nrun: {processes: {web: serve}}\nenvironments:\n  dev: {listen: \":1\"}\n  prod: {listen: \":2\", " + says + "}\n"
}

func TestProblemsOfThePipelineHaveTheirPlace(t *testing.T) {
	const reason = ", reason: sale}]"
	for _, tt := range []bad{
		{"auto: true", `5:30: nothing is promoted to an environment that comes after none [add after:`},
		{"soak: 30m", `5:30: nothing is promoted to an environment that comes after none [add after:]`},
		{"after: dev, soak: 30", `5:42: the duration 30 has no unit`},
		{"after: dev, auto: yes please", `5:42: expected true or false`},
		{"after: dev, freeze: weekend", `5:44: expected a list`},
		{"freeze: [{from: fri 16:00, to: mon 08:00, zone: UTC}]", `5:33: key "reason" is missing`},
		{"freeze: [{from: friday, to: mon 08:00, zone: UTC" + reason, `5:40: "friday" is no time such as 2026-12-20 18:00`},
		{"freeze: [{from: fri 16:00, to: mon 08:00" + reason, `5:40: the zone is missing, such as zone: Europe/Berlin`},
		{"freeze: [{from: fri 16:00, to: mon 08:00, zone: Berlin" + reason, `5:72: "Berlin" is no time zone such as Europe/Berlin or UTC`},
		{"freeze: [{from: 2026-12-20 18:00, to: 2026-12-19 18:00, zone: UTC" + reason, `5:40: it ends at 2026-12-19 18:00, before it begins`},
	} {
		if got := problemsOf(t, pipelineOf(tt.line)); !strings.HasPrefix(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s\n got %swant %s", tt.line, got, tt.want)
		}
	}
}

func TestFollowersAreThoseThatTakeItByThemselvesOneAfterTheOther(t *testing.T) {
	f := parse(t, `app: shop
run: {processes: {web: serve}}
environments:
  dev: {listen: ":1"}
  us: {listen: ":2", after: staging, auto: true}
  staging: {listen: ":3", after: dev, auto: true}
  eu: {listen: ":4", after: staging}
  asia: {listen: ":5", after: eu, auto: true}
`)
	for name, want := range map[string][]string{"dev": {"staging", "us"}, "staging": {"us"}, "eu": {"asia"}, "us": nil} {
		all, err := f.Followers(name)
		var got []string
		for _, env := range all {
			got = append(got, env.ID.Name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is followed by %v, %v, want %v", name, got, err, want)
		}
	}
}

// The example in the page about the pipeline is a configuration.
func TestTheExampleOfThePipelineCanBeRead(t *testing.T) {
	text, err := os.ReadFile("../../docs/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("the page has %d examples", len(found))
	}
	f, err := config.Parse("docs/pipeline.md", found[0][1], "/srv/shop", known)
	if err != nil {
		t.Fatal(err)
	}
	production := environment(t, f, "production")
	if production.After != "staging" || production.Soak == 0 || len(production.Freeze) < 2 {
		t.Errorf("production is %+v", production)
	}
	if next, err := f.Followers("dev"); err != nil || len(next) != 1 {
		t.Errorf("dev is followed by %v, %v", next, err)
	}
}
