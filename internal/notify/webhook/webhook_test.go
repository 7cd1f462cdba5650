package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/notify/notifytest"
	"github.com/shiplock/shiplock/internal/notify/webhook"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestWebhook(t *testing.T) {
	notifytest.Run(t, func(t *testing.T, url string) notify.Notifier {
		return open(t, webhook.Config{URL: ship.Value(url)})
	})
}

func open(t *testing.T, cfg webhook.Config) *webhook.Notifier {
	t.Helper()
	n, err := webhook.New(cfg, notifytest.Deps())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A received request, read to its end.
type received struct {
	header http.Header
	body   []byte
}

func receiver(t *testing.T) (url string, got func() received) {
	t.Helper()
	requests := make(chan received, 9)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- received{r.Header, body}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() received {
		t.Helper()
		select {
		case r := <-requests:
			return r
		default:
			t.Fatal("no request was received")
			return received{}
		}
	}
}

func TestTheMessageArrivesWhole(t *testing.T) {
	url, got := receiver(t)
	n := open(t, webhook.Config{URL: ship.Value(url), Headers: map[string]ship.Value{"Authorization": "Bearer tok"}})
	if err := n.Notify(t.Context(), notifytest.Message()); err != nil {
		t.Fatal(err)
	}
	r := got()
	var m notify.Message
	if err := json.Unmarshal(r.body, &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(notifytest.Message(), m); diff != "" {
		t.Errorf("message differs (-sent +received):\n%s", diff)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Authorization": "Bearer tok", "Shiplock-Signature": ""} {
		if r.header.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, r.header.Get(name), want)
		}
	}
}

func TestTheSignatureIsThatOfTheBody(t *testing.T) {
	url, got := receiver(t)
	n := open(t, webhook.Config{URL: ship.Value(url), Secret: "k3y"})
	if err := n.Notify(t.Context(), notifytest.Message()); err != nil {
		t.Fatal(err)
	}
	r := got()
	mac := hmac.New(sha256.New, []byte("k3y"))
	mac.Write(r.body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.header.Get("Shiplock-Signature") != want {
		t.Errorf("signature is %q, want %q", r.header.Get("Shiplock-Signature"), want)
	}
}

func TestARepeatedDeliveryIsKnownByItsHeader(t *testing.T) {
	url, got := receiver(t)
	n := open(t, webhook.Config{URL: ship.Value(url)})
	other := notifytest.Message()
	other.Result.Run = "d-119"
	var ids []string
	for _, m := range []notify.Message{notifytest.Message(), notifytest.Message(), other} {
		if err := n.Notify(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got().header.Get("Shiplock-Delivery"))
	}
	if ids[0] == "" || ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("deliveries are named %q, want the first two alike and the third not", ids)
	}
}

func TestARotatedSecretIsTakenUp(t *testing.T) {
	url, got := receiver(t)
	token := "old"
	n, err := webhook.New(
		webhook.Config{URL: ship.Value(url), Headers: map[string]ship.Value{"Authorization": "${secret:TOKEN}"}},
		plugin.Deps{Resolve: func(v ship.Value) (ship.Secret, error) {
			return ship.NewSecret(strings.ReplaceAll(string(v), "${secret:TOKEN}", token)), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	for _, token = range []string{"old", "new"} {
		if err := n.Notify(t.Context(), notifytest.Message()); err != nil {
			t.Fatal(err)
		}
		if is := got().header.Get("Authorization"); is != token {
			t.Errorf("sent %q, want %q", is, token)
		}
	}
}

func TestA44AddressesOfNoReceiverAreRefused(t *testing.T) {
	for _, host := range []string{
		"169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "0.0.0.0", "[::]", "224.0.0.1", "[fd00:ec2::254]",
	} {
		err := open(t, webhook.Config{URL: ship.Value("http://" + host + "/latest/meta-data")}).Notify(t.Context(), notifytest.Message())
		if !errors.Is(err, notify.ErrPermanent) || !strings.Contains(err.Error(), "no address of a receiver") {
			t.Errorf("%s: %v, want it refused before a connection", host, err)
		}
	}
}

func TestA47OtherSchemesAreRefused(t *testing.T) {
	for _, url := range []ship.Value{"file:///etc/passwd", "gopher://127.0.0.1:70/", "//127.0.0.1/", "127.0.0.1:80", "https://", "http://[::1", "\x7f"} {
		if err := open(t, webhook.Config{URL: url}).Notify(t.Context(), notifytest.Message()); !errors.Is(err, notify.ErrPermanent) {
			t.Errorf("%q: %v, want it given up", url, err)
		}
	}
}

func TestAReferenceThatCannotBeResolvedIsNamed(t *testing.T) {
	n, err := webhook.New(webhook.Config{URL: "${secret:HOOK}"}, plugin.Deps{Resolve: func(ship.Value) (ship.Secret, error) {
		return ship.Secret{}, errors.New("secret HOOK is not set")
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = n.Notify(t.Context(), notifytest.Message())
	if !errors.Is(err, notify.ErrPermanent) || !strings.Contains(err.Error(), "secret HOOK is not set") {
		t.Errorf("Notify() = %v, want it given up and the reference named", err)
	}
}

func TestAURLIsNeeded(t *testing.T) {
	if _, err := webhook.New(webhook.Config{}, notifytest.Deps()); ship.KindOf(err) != ship.Invalid {
		t.Errorf("New() without a URL: %v, want kind %s", err, ship.Invalid)
	}
}
