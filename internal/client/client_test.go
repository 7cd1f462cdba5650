package client_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestWhoDoesNotReachAServerIsToldHowToLookAtIt(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\necho no route to host >&2\nexit 255\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	for address, want := range map[string]string{
		filepath.Join(t.TempDir(), "no.sock"):   "shiplock up",
		"ssh://ann@shop.invalid":                "ssh ann@shop.invalid shiplock status",
		"ssh://shop.invalid:2222/var/lib/other": "ssh -p 2222 shop.invalid shiplock status --data /var/lib/other",
	} {
		c, err := client.Dial(address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Version(context.Background())
		if ship.KindOf(err) != ship.Unreachable || ship.HintOf(err) != want {
			t.Errorf("%s: %v (%s), next %q, want %q", address, err, ship.KindOf(err), ship.HintOf(err), want)
		}
		if strings.HasPrefix(address, "ssh") && !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("%s: %v does not say why", address, err)
		}
		c.Close()
	}
}

func TestNoPartOfAnAddressBecomesAnOption(t *testing.T) {
	for _, address := range []string{
		"ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://ann:secret@host", "ssh://host/$(touch x)", "ssh://host/a;b", "http://host", "ssh://",
	} {
		if _, err := client.Dial(address); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: %v, want a refusal", address, err)
		}
	}
}
