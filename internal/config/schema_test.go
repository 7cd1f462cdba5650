package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/shiplock/shiplock/internal/config"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema(known)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("shiplock.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("shiplock.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance returns a YAML text as the validator wants it.
func instance(t *testing.T, text []byte) any {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheSchemaTakesTheExampleOfEveryKey(t *testing.T) {
	text, err := os.ReadFile("testdata/shiplock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(instance(t, text)); err != nil {
		t.Error(err)
	}
}

func TestTheSchemaRefusesWhatTheDecoderRefuses(t *testing.T) {
	s := schema(t)
	if err := s.Validate(instance(t, []byte(least))); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"helth: {path: /}", "hold: 5", "hold: soon", "health: {path: x}", "health: {healthy_after: 0}", "release: {from: image}",
		"watch: {error_rate: 5}", "migrations: {route: never}", "notify: [{webhook: x, on: [sucess]}]", "vars: {A-B: x}",
		"secrets: {}", "gates: {E2E: {run: x}}", "server: http://x", "run: {processes: {web: {instances: 2}}}",
	} {
		text := least + line + "\n"
		if strings.HasPrefix(line, "run:") {
			text = strings.Replace(least, "run: {processes: {web: serve}}", line, 1)
		}
		if err := s.Validate(instance(t, []byte(text))); err == nil {
			t.Errorf("the schema takes %s", line)
		}
		if problemsOf(t, text) == "" {
			t.Errorf("the decoder takes %s", line)
		}
	}
}

func TestEveryKeyIsInTheSchemaWithADescriptionAndInTheExample(t *testing.T) {
	var root any
	if err := json.Unmarshal(config.Schema(config.Known{}), &root); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	walkSchema("", root, described)
	text, err := os.ReadFile("testdata/shiplock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	walkExample(instance(t, text), used)
	keys := config.Keys()
	if len(keys) < 80 {
		t.Fatalf("only %d keys are found", len(keys))
	}
	for _, key := range keys {
		last := key[strings.LastIndex(key, "/")+1:]
		if !described[key] {
			t.Errorf("%s has no description in the schema", key)
		}
		if !used[last] {
			t.Errorf("%s is not in testdata/shiplock.yaml", key)
		}
	}
	for key := range described {
		if own := []string{"gates/*/run", "gates/*/timeout", "notify/on", "environments/*/notify/on"}; !slices.Contains(keys, key) && !slices.Contains(own, key) {
			t.Errorf("%s is in the schema and no key", key)
		}
	}
}

// walkSchema notes the path of every property with a description.
func walkSchema(path string, v any, described map[string]bool) {
	s, ok := v.(map[string]any)
	if !ok {
		return
	}
	properties, _ := s["properties"].(map[string]any)
	for key, property := range properties {
		if text, _ := property.(map[string]any)["description"].(string); text != "" {
			described[path+key] = true
		}
		walkSchema(path+key+"/", property, described)
	}
	patterns, _ := s["patternProperties"].(map[string]any)
	for _, item := range patterns {
		walkSchema(path+"*/", item, described)
	}
	walkSchema(path, s["items"], described)
	choices, _ := s["anyOf"].([]any)
	for _, choice := range choices {
		walkSchema(path, choice, described)
	}
}

func walkExample(v any, used map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			used[key] = true
			walkExample(item, used)
		}
	case []any:
		for _, item := range v {
			walkExample(item, used)
		}
	}
}

func TestTheSchemaIsTheSameEveryTime(t *testing.T) {
	first := config.Schema(known)
	for range 5 {
		if !bytes.Equal(first, config.Schema(known)) {
			t.Fatal("the schema differs from call to call")
		}
	}
	if len(first) < 10_000 {
		t.Errorf("the schema has only %d bytes", len(first))
	}
}
