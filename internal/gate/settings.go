package gate

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Duration is a setting such as 5m.
type Duration time.Duration

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return ship.Errorf(ship.Invalid, "write for example 30s, 5m or 1h30m", "%q is no duration", Shorten(text, 40))
	}
	*d = Duration(v)
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Duration) SettingSchema() string {
	return `{"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"}`
}

// Or returns d, or otherwise when it is not set.
func (d Duration) Or(otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}

// A Percent is a setting such as 1%, or a number of percent.
type Percent float64

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Percent) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "%")), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return ship.Errorf(ship.Invalid, "write for example 1%", "%q is no share from 0%% to 100%%", Shorten(text, 40))
	}
	*p = Percent(v)
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Percent) SettingSchema() string {
	return `{"anyOf": [{"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?\\s*%?$"}, {"type": "number", "minimum": 0, "maximum": 100}]}`
}

// Paths are a setting: one path in the release's folder, or a list.
type Paths []string

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Paths) UnmarshalJSON(raw []byte) error {
	var one string
	var list []string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if err := plugin.Decode(raw, &list); err != nil {
		return err
	}
	for _, path := range list {
		if err := CheckPath(path); err != nil {
			return err
		}
	}
	*p = list
	return nil
}

// CheckPath tells whether a setting is the path of a file in the release.
func CheckPath(path string) error {
	if !filepath.IsLocal(path) || path == "." {
		return ship.Errorf(ship.Invalid, "write it relative to the release's folder", "%q is no file in the release", Shorten(path, 80))
	}
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Paths) SettingSchema() string {
	const path = `{"type": "string", "pattern": "^[^/]"}`
	return `{"anyOf": [` + path + `, {"type": "array", "items": ` + path + `}]}`
}
