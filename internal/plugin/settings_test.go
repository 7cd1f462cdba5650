package plugin_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

type settings struct {
	Name  string            `json:"name"`
	Users int               `json:"users"`
	Rate  float64           `json:"rate"`
	Limit *int              `json:"limit,omitempty"`
	Paths []path            `json:"paths"`
	Tags  map[string]string `json:"tags"`
	On    bool              `json:"on"`
	At    time.Time         `json:"at"`
	//lint:ignore U1000 no key leads there
	hidden string
}

// A path is a text or a mapping.
type path struct{ Path string }

func (p *path) UnmarshalJSON(raw []byte) error {
	if raw[0] == '"' {
		return json.Unmarshal(raw, &p.Path)
	}
	var long struct {
		Path string `json:"path"`
	}
	err := plugin.Decode(raw, &long)
	p.Path = long.Path
	return err
}

func TestSettingsAreReadAndTheirMistakesHaveAPlace(t *testing.T) {
	var s settings
	if err := plugin.Decode(json.RawMessage(`{"name":"x","limit":0,"paths":["/",{"path":"/a"}],"tags":{"a":"b"},"users":null,"at":"2026-01-02T03:04:05Z"}`), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "x" || s.Limit == nil || *s.Limit != 0 || len(s.Paths) != 2 || s.Paths[1].Path != "/a" || s.Tags["a"] != "b" || s.At.Year() != 2026 {
		t.Errorf("%+v", s)
	}
	for raw, want := range map[string]string{
		`{"nam":"x"}`:                    `nam: unknown key "nam"`,
		`{"Name":"x"}`:                   `Name: unknown key "Name"`,
		`{"hidden":"x"}`:                 `hidden: unknown key "hidden"`,
		`{"name":1}`:                     `name: expected text, found 1`,
		`{"users":1.5}`:                  `users: expected a whole number, found 1.5`,
		`{"users":"1"}`:                  `users: expected a whole number, found "1"`,
		`{"rate":[]}`:                    `rate: expected a number, found a list`,
		`{"on":"yes"}`:                   `on: expected true or false, found "yes"`,
		`{"paths":{}}`:                   `paths: expected a list, found a mapping`,
		`{"paths":["/",{"weight":1}]}`:   `paths.1.weight: unknown key "weight"`,
		`{"paths":["/",{"path":false}]}`: `paths.1.path: expected text, found false`,
		`{"tags":{"a":{}}}`:              `tags.a: expected text, found a mapping`,
		`[]`:                             `expected a mapping, found a list`,
		`{"name":{"` + strings.Repeat("x", 900) + `":1}}`: `name: expected text, found a mapping`,
	} {
		err := plugin.Decode(json.RawMessage(raw), &settings{})
		if err == nil || err.Error() != want {
			t.Errorf("%.40s: %v, want %s", raw, err, want)
		}
	}
}

func TestWhatAPlugInRefusesHasAPlaceToo(t *testing.T) {
	err := plugin.At("paths.1.weight", ship.Errorf(ship.Invalid, "write 1", "too much"))
	at, ok := errors.AsType[*plugin.SettingError](err)
	if !ok || strings.Join(at.Path, "/") != "paths/1/weight" || ship.KindOf(err) != ship.Invalid || ship.HintOf(err) != "write 1" {
		t.Errorf("%#v", err)
	}
}

type able struct{}

func (able) Do() {}

func TestARegistryTellsWhatAKindIs(t *testing.T) {
	var r plugin.Registry[any]
	plugin.Register(&r, "able", func(settings, plugin.Deps) (able, error) { return able{}, nil }, func(a able) any { return a })
	doer := reflect.TypeFor[interface{ Do() }]()
	if !r.Can("able", doer) || r.Can("other", doer) || r.Can("able", reflect.TypeFor[interface{ Undo() }]()) || r.Settings("able") != reflect.TypeFor[settings]() || r.Settings("other") != nil {
		t.Error("the registry does not know its kind")
	}
	if _, err := r.Open(ship.Plugin{Kind: "able", Config: json.RawMessage(`{"x":1}`)}, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
		t.Errorf("%v", err)
	}
}
