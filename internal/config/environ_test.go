package config_test

import (
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/config"
)

func lookupIn(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestTheDataDirectoryIsTheFirstThatIsSaid(t *testing.T) {
	for _, tt := range []struct {
		flag string
		env  config.Environ
		want string
	}{
		{"/flag", config.Environ{DataDir: "/data", Root: true}, "/flag"},
		{"", config.Environ{DataDir: "/data", Root: true}, "/data"},
		{"", config.Environ{Root: true, Home: "/root", StateHome: "/state"}, "/var/lib/shiplock"},
		{"", config.Environ{Home: "/home/ann", StateHome: "/state"}, "/state/shiplock"},
		{"", config.Environ{Home: "/home/ann", StateHome: "relative"}, "/home/ann/.local/state/shiplock"},
		{"", config.Environ{Home: "/home/ann"}, "/home/ann/.local/state/shiplock"},
	} {
		if got, err := tt.env.DataDirectory(tt.flag); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v; want %q", tt.env, got, err, tt.want)
		}
	}
	if _, err := (config.Environ{}).DataDirectory(""); err == nil {
		t.Error("a place is found without any")
	}
}

func TestTheServerIsTheFirstThatIsSaid(t *testing.T) {
	env := config.ProcessEnv(lookupIn(map[string]string{"SHIPLOCK_SERVER": "ssh://ci@env"}))
	for _, tt := range []struct {
		flag string
		env  config.Environ
		file string
		want string
	}{
		{"/run/x.sock", env, "ssh://a@file", "/run/x.sock"},
		{"", env, "ssh://a@file", "ssh://ci@env"},
		{"", config.Environ{}, "ssh://a@file", "ssh://a@file"},
		{"", config.Environ{}, "", ""},
	} {
		if got, err := tt.env.ServerAddress(tt.flag, tt.file); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
	if _, err := env.ServerAddress("ssh://-oProxyCommand=id", ""); err == nil {
		t.Error("an option of ssh is taken for a host")
	}
}

func TestTheServiceOfAJobIsToldApart(t *testing.T) {
	for _, tt := range []struct {
		vars map[string]string
		want config.CI
	}{
		{nil, config.CINone},
		{map[string]string{"CI": "true"}, config.CIOther},
		{map[string]string{"CI": "true", "GITHUB_ACTIONS": "true"}, config.CIGitHub},
		{map[string]string{"CI": "1", "GITLAB_CI": "true"}, config.CIGitLab},
		{map[string]string{"CI": "false"}, config.CINone},
	} {
		if got := config.ProcessEnv(lookupIn(tt.vars)).CI; got != tt.want {
			t.Errorf("%v: %q, want %q", tt.vars, got, tt.want)
		}
	}
}

func TestNoColorAsksForNoColour(t *testing.T) {
	if !config.ProcessEnv(lookupIn(map[string]string{"NO_COLOR": "1"})).NoColor || config.ProcessEnv(lookupIn(map[string]string{"NO_COLOR": ""})).NoColor {
		t.Error("NO_COLOR is set when it is not empty")
	}
}

func TestA51ChildrenGetNoneOfOurSecrets(t *testing.T) {
	got := config.BaseEnvironFrom(lookupIn(map[string]string{
		"PATH": "/bin", "HOME": "/home/ann", "TZ": "UTC", "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x", "DATABASE_URL": "x",
		"LD_PRELOAD": "x", "PYTHONPATH": "x", "SHIPLOCK_DATA": "x", "TMPDIR": "",
	}))
	want := []string{"PATH=/bin", "HOME=/home/ann", "LANG=C.UTF-8", "TZ=UTC"}
	if !slices.Equal(got, want) {
		t.Errorf("BaseEnviron = %q, want %q", got, want)
	}
	t.Setenv("SHIPLOCK_TEST_CANARY", "x")
	if slices.Contains(config.BaseEnviron(), "SHIPLOCK_TEST_CANARY=x") {
		t.Error("our whole environment is passed on")
	}
}
