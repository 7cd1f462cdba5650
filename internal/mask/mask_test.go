package mask_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

// canary is a secret with characters that every encoding treats in its way.
const canary = `k3y/+&="ünd' <x>?`

func masker(secrets ...string) *mask.Masker {
	list := make([]ship.Secret, len(secrets))
	for i, s := range secrets {
		list[i] = ship.NewSecret(s)
	}
	return mask.New(list...)
}

func TestA51ASecretIsInNothingThatIsWritten(t *testing.T) {
	m := masker(canary)
	var out bytes.Buffer
	w := m.Writer(&out)
	fmt.Fprintf(w, "plain %s quoted %q\n", canary, canary)
	slog.New(slog.NewTextHandler(w, nil)).Info("text", "value", canary)
	slog.New(slog.NewJSONHandler(w, nil)).Info("json", "value", canary)
	if err := json.NewEncoder(w).Encode(map[string]string{"error": "login with " + canary + " failed"}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "query %s path %s hex %x %X\n", url.QueryEscape(canary), url.PathEscape(canary), canary, canary)
	fmt.Fprintf(w, "shell 'k3y/+&=\"ünd'\\'' <x>?'\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), mask.Stars); got != 10 {
		t.Errorf("%d secrets are masked, want 10:\n%s", got, out.String())
	}
	for _, trace := range []string{canary, "ünd", "nd'", "u00fcnd", "%C3%BCnd", "6b3379"} {
		if strings.Contains(out.String(), trace) {
			t.Errorf("%q is left:\n%s", trace, out.String())
		}
	}
}

func TestA52ASecretSplitOverTwoWritesIsMasked(t *testing.T) {
	for at := range len(canary) + 1 {
		var out bytes.Buffer
		w := masker(canary).Writer(&out)
		_, _ = io.WriteString(w, "<"+canary[:at])
		_, _ = io.WriteString(w, canary[at:]+">")
		if err := w.Close(); err != nil || out.String() != "<***>" {
			t.Errorf("split at %d: %q, %v", at, out.String(), err)
		}
	}
}

func TestA52ASecretWrittenByteByByteIsMasked(t *testing.T) {
	var out bytes.Buffer
	w := masker("hunter22", "hunter2 and more").Writer(&out)
	for _, b := range []byte("hunter2 and less, hunter22, hunter2 and more\n") {
		_, _ = w.Write([]byte{b})
	}
	_ = w.Close()
	if got, want := out.String(), "hunter2 and less, ***, ***\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestA52ASecretInBase64IsMaskedAtEveryAlignment(t *testing.T) {
	secret := "s3cr3t-väl~ue?>"
	m := masker(secret)
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 7 {
			for after := range 4 {
				data := strings.Repeat("x", before) + secret + strings.Repeat("y", after)
				got := m.String(enc.EncodeToString([]byte(data)))
				if !strings.Contains(got, mask.Stars) {
					t.Errorf("%d before, %d after: %q is not masked", before, after, got)
				}
				// At most a shared character on either side may be left of it.
				if shown := len(got) - len(mask.Stars); shown > (before+after)*4/3+6 {
					t.Errorf("%d before, %d after: too much of it is left: %q", before, after, got)
				}
			}
		}
	}
}

func TestA52EachLineOfASecretIsMasked(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEabcdefgh\nijklmnopqrst\nxyz\n-----END KEY-----\n"
	m := masker(key)
	if got := m.String("key:\n" + key + "!"); got != "key:\n***!" {
		t.Errorf("whole: %q", got)
	}
	if got, want := m.String("1: MIIEabcdefgh\r\n2: ijklmnopqrst\n3: xyz"), "1: ***\r\n2: ***\n3: xyz"; got != want {
		t.Errorf("by line: %q, want %q", got, want)
	}
	encoded, _ := json.Marshal(key)
	if got := m.String(string(encoded)); got != `"***"` {
		t.Errorf("as JSON: %q", got)
	}
}

func TestA52URLEncodedSecretsAreMasked(t *testing.T) {
	m := masker("pä ss/w+rd")
	for _, text := range []string{"p%C3%A4+ss%2Fw%2Brd", "p%c3%a4%20ss%2fw%2brd", "p%C3%A4%20ss%2Fw+rd", "p%C3%A4%20ss/w+rd"} {
		if got := m.String("u=" + text + "&"); got != "u=***&" {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestA53ASecretInAURLIsNotInTheErrorAboutIt(t *testing.T) {
	secret := "tok en/42+"
	m := masker(secret)
	_, err := http.Get("http://127.0.0.1:1/health?token=" + url.QueryEscape(secret)) // nothing listens on port 1
	if err == nil {
		t.Fatal("the request was answered")
	}
	got := m.Error(fmt.Errorf("probe: %w", err))
	if strings.Contains(got.Error(), "42") || !strings.Contains(got.Error(), "token=***") {
		t.Errorf("masked error is %q", got)
	}
}

func TestA53ThePasswordOfASecretURLIsMaskedByItself(t *testing.T) {
	m := masker("postgres://app:p%40ssword@db.internal/shop")
	if got := m.String("password p@ssword (p%40ssword) was refused by db.internal"); got != "password *** (***) was refused by db.internal" {
		t.Errorf("got %q", got)
	}
}

func TestA54TheTextOfAPanicIsMasked(t *testing.T) {
	m := masker("sw0rdfish")
	var out bytes.Buffer
	func() {
		w := m.Writer(&out)
		defer w.Close()
		defer func() { fmt.Fprintf(w, "panic: %v\n%s", recover(), debug.Stack()) }()
		panic(fmt.Errorf("bad password %q", "sw0rdfish"))
	}()
	if strings.Contains(out.String(), "sw0rdfish") || !strings.Contains(out.String(), `bad password "***"`) {
		t.Errorf("the log is %q", out.String())
	}
}

func TestA54AnErrorIsMaskedForEveryWayOfPrintingAndCanStillBeAsked(t *testing.T) {
	m := masker("sw0rdfish")
	cause := ship.Errorf(ship.Unreachable, "psql postgres://app:sw0rdfish@db", "dial sw0rdfish: %w", io.ErrUnexpectedEOF)
	err := m.Error(fmt.Errorf("connect: %w", cause))
	for _, verb := range []string{"%v", "%s", "%q", "%+v", "%#v", "%d"} {
		if got := fmt.Sprintf(verb, err); strings.Contains(got, "sw0rdfish") {
			t.Errorf("%s shows %q", verb, got)
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || ship.KindOf(err) != ship.Unreachable {
		t.Errorf("the chain of %v is gone", err)
	}
	if hint := ship.HintOf(err); strings.Contains(hint, "sw0rdfish") || !strings.Contains(hint, mask.Stars) {
		t.Errorf("the hint is %q", hint)
	}
	found, _ := errors.AsType[*ship.Error](err)
	if got := fmt.Sprintf("%+v %v", found, found.Err); strings.Contains(got, "sw0rdfish") {
		t.Errorf("the error in the chain shows %q", got)
	}
	if m.Error(nil) != nil {
		t.Error("no error became one")
	}
}

func TestAWriterHoldsBackNoLineThatCannotBeASecret(t *testing.T) {
	var out bytes.Buffer
	w := masker("secret-value").Writer(&out)
	_, _ = io.WriteString(w, "a secret is safe\n")
	if got := out.String(); got != "a secret is safe\n" {
		t.Errorf("before Close: %q", got)
	}
	_, _ = io.WriteString(w, "sec")
	_, _ = io.WriteString(w, "ond")
	if got := out.String(); got != "a secret is safe\nsecond" {
		t.Errorf("after the beginning of a secret that was none: %q", got)
	}
}

func TestCloseMasksASecretThatWasCut(t *testing.T) {
	m := masker("0123456789")
	if got := m.String("x 0123456"); got != "x ***" {
		t.Errorf("most of a secret: %q", got)
	}
	if got := m.String("x 0123"); got != "x 0123" {
		t.Errorf("the beginning of one: %q", got)
	}
}

func TestSecretsThatOverlapAreMaskedTogether(t *testing.T) {
	if got := masker("abcdef", "defghi", "efgh").String("-abcdefghi-abcdef-"); got != "-***-***-" {
		t.Errorf("got %q", got)
	}
}

func TestShortSecretsAreLeftAlone(t *testing.T) {
	if got := masker("1", "", "abc").String("exit code 1 abc"); got != "exit code 1 abc" {
		t.Errorf("got %q", got)
	}
}

func TestALongSecretIsMaskedPieceByPiece(t *testing.T) {
	secret := strings.Repeat("0123456789abcdef", 2000)
	if got := masker(secret).String("<" + secret + ">"); strings.Contains(got, "0123") {
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestAWriterReportsTheErrorOfItsTarget(t *testing.T) {
	w := masker("secret").Writer(broken{})
	if _, err := io.WriteString(w, "text"); err == nil {
		t.Error("Write has no error")
	}
	if err := w.Close(); err == nil {
		t.Error("Close has no error")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestTheNumberOfWritesDoesNotChangeWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab\n]{4,9}`), 1, 4).Draw(t, "secrets")
		text := rapid.StringMatching(`[ab\nc]{0,60}`).Draw(t, "text")
		m := masker(secrets...)
		var out strings.Builder
		w := m.Writer(&out)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			_, _ = io.WriteString(w, rest[:n])
			rest = rest[n:]
		}
		_ = w.Close()
		if want := m.String(text); out.String() != want {
			t.Fatalf("written in pieces %q, at once %q", out.String(), want)
		}
		for _, secret := range secrets {
			if strings.Contains(out.String(), secret) {
				t.Fatalf("%q is in %q", secret, out.String())
			}
		}
	})
}
