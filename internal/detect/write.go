package detect

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// SchemaFile is where editors find the schema of the written configuration.
const SchemaFile = ".shiplock/schema.json"

// maxLines is the longest configuration that is written.
const maxLines = 25

// YAML returns a shiplock.yaml for the project, of at most 25 lines. What a
// person adds later is beyond it: a second environment, gates, notices.
func (p *Project) YAML() []byte {
	text := p.yaml(false)
	if strings.Count(text, "\n") > maxLines {
		text = p.yaml(true)
	}
	return []byte(text)
}

func (p *Project) yaml(tight bool) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# yaml-language-server: $schema=%s", SchemaFile)
	line("app: %s", p.App)
	if len(p.Exclude) > 0 {
		line("release: {exclude: %s}", flow(p.Exclude))
	}
	line("run:")
	p.writeRun(line, tight)
	if len(p.Vars) > 0 {
		line("vars: {%s}", pairs(p.Vars))
	}
	line("health: {%s}", pairs(p.health()))
	if p.Database != "" {
		line(`database: {kind: %s, url: "${secret:DATABASE_URL}"}`, p.Database)
	}
	if p.Tool.Kind != "" {
		settings := ""
		if len(p.Tool.Settings) > 0 {
			settings = ", settings: {" + pairs(p.Tool.Settings) + "}"
		}
		line("migrations: {tool: %s%s}", p.Tool.Kind, settings)
	}
	if len(p.Secrets) > 0 {
		line("secrets: {file: %s}", SecretsFile)
	}
	line("environments:")
	line("  dev: {listen: 127.0.0.1:8081, watch: {for: 20s}} # nobody uses it: a short guard is enough")
	return b.String()
}

func (p *Project) writeRun(line func(string, ...any), tight bool) {
	if py := p.Python; py != nil {
		var settings []Var
		for _, v := range []Var{{"requirements", py.Requirements}, {"interpreter", py.Interpreter}} {
			if v.Value != "" {
				settings = append(settings, v)
			}
		}
		line("  python: {%s}", pairs(settings))
	}
	if len(p.Prepare) > 0 {
		line("  prepare: %s", flow(p.Prepare))
	}
	if len(p.Setup) > 0 {
		line("  setup: %s", flow(p.Setup))
	}
	var processes []Var
	for _, pr := range p.Processes {
		processes = append(processes, Var{pr.Name, pr.Command})
	}
	if tight {
		line("  processes: {%s}", pairs(processes))
	} else {
		line("  processes:")
		for _, v := range processes {
			line("    %s: %s", v.Name, scalar(v.Value))
		}
	}
	if len(p.Shared) > 0 {
		line("  shared: %s", flow(p.Shared))
	}
}

func (p *Project) health() []Var {
	list := []Var{{"path", p.Health.Path}}
	if p.Health.Path == "" {
		list[0].Value = "/"
	}
	if p.Health.Host != "" {
		list = append(list, Var{"host", p.Health.Host})
	}
	return list
}

func flow(list []string) string {
	words := make([]string, len(list))
	for i, text := range list {
		words[i] = scalar(text)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

func pairs(list []Var) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.Name + ": " + scalar(v.Value)
	}
	return strings.Join(words, ", ")
}

// plainScalar is text that means itself without quotes, also within brackets.
var plainScalar = regexp.MustCompile(`^[A-Za-z/$.](?:[A-Za-z0-9_ ./$=+@-]|:[A-Za-z0-9$/])*$`)

// reserved are words that would not be text.
var reserved = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null|y|n|\.inf|\.nan)$`)

// scalar writes a text as one line of YAML, in quotes where it needs them. A
// text in quotes of JSON is the same in YAML.
func scalar(text string) string {
	if plainScalar.MatchString(text) && !reserved.MatchString(text) && !strings.HasSuffix(text, " ") {
		return text
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return `""` // a string can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
