package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func secretsFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func resolver(t *testing.T, text string) *config.Resolver {
	t.Helper()
	env := map[string]string{"REGION": "eu", "EMPTY": ""}
	r, err := config.NewResolver(secretsFile(t, text, 0o600), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReferencesAreReplacedWhereverTheyStand(t *testing.T) {
	r := resolver(t, "PW=hunter2\nURL=postgres://x\n")
	for value, want := range map[ship.Value]string{
		"":                               "",
		"plain $HOME $$ {x} }":           "plain $HOME $$ {x} }",
		"${secret:URL}":                  "postgres://x",
		"a ${secret:PW}, ${env:REGION}.": "a hunter2, eu.",
		"${env:EMPTY}":                   "",
		"$${secret:PW} and $${":          "${secret:PW} and ${",
		"${secret:PW}${secret:PW}":       "hunter2hunter2",
	} {
		got, err := r.Resolve(value)
		if err != nil || got.Reveal() != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", value, got.Reveal(), err, want)
		}
	}
}

func TestTheTextOfASecretIsNotResolvedAgain(t *testing.T) {
	got, err := resolver(t, "A='${env:REGION}'\n").Resolve("${secret:A}")
	if err != nil || got.Reveal() != "${env:REGION}" {
		t.Errorf("Resolve = %q, %v", got.Reveal(), err)
	}
}

func TestAnUnresolvedReferenceSaysWhereItWasLookedForAndWhatToDo(t *testing.T) {
	r := resolver(t, "PW=hunter2\n")
	for value, say := range map[ship.Value][2]string{
		"x ${secret:PW} ${secret:API_KEY}": {"${secret:API_KEY} cannot be resolved: it is not in ", "add a line API_KEY=… to "},
		"${env:NOT_THERE}":                 {"${env:NOT_THERE} cannot be resolved: the variable is not set", "export NOT_THERE=…"},
		"${secret:x y}":                    {"a reference is ${secret:NAME} or ${env:NAME}", ""},
	} {
		_, err := r.Resolve(value)
		if err == nil || !strings.Contains(err.Error(), say[0]) || !strings.Contains(ship.HintOf(err), say[1]) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Resolve(%q) = %v, hint %q; want %q", value, err, ship.HintOf(err), say)
		}
	}
	none, err := config.NewResolver("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []ship.Value{"${secret:A}", "${env:A}"} {
		if _, err := none.Resolve(value); err == nil || ship.KindOf(err) != ship.Invalid {
			t.Errorf("Resolve(%q) without a file = %v", value, err)
		}
	}
}

func TestNamesListsEachReferenceOnce(t *testing.T) {
	got := config.Names("${secret:A} ${env:B} $${secret:C} ${secret:A}")
	if want := []string{"secret:A", "env:B"}; !slices.Equal(got, want) {
		t.Errorf("Names = %q, want %q", got, want)
	}
}

func TestSecretsAreReadAsPeopleWriteThem(t *testing.T) {
	r := resolver(t, "\ufeff# comment\r\n\nA=plain text # comment\nexport B = spaced \nC='single \\n $X # \"'\n"+
		`D="double \n \"q\" \\ \$X \z"  # comment`+"\nE=\"two\nlines\"\nF=\nG=a=b#c\nexport=x\nH='ü'\n  I=last")
	want := map[string]string{
		"A": "plain text", "B": "spaced", "C": `single \n $X # "`, "D": "double \n \"q\" \\ $X \\z", "E": "two\nlines",
		"F": "", "G": "a=b#c", "export": "x", "H": "ü", "I": "last",
	}
	for name, text := range want {
		if got, err := r.Resolve(ship.Value("${secret:" + name + "}")); err != nil || got.Reveal() != text {
			t.Errorf("%s = %q, %v; want %q", name, got.Reveal(), err, text)
		}
	}
	if got := len(r.Secrets()); got != len(want) {
		t.Errorf("%d secrets, want %d", got, len(want))
	}
}

func TestASecretsFileThatCannotBeReadSaysTheLineAndNotTheSecret(t *testing.T) {
	for text, say := range map[string]string{
		"A=1\nhunter2\n":        ":2: there is no =",
		"A=1\nhunter2 x=1\n":    ":2: what stands before =",
		"A='hunter2":            ":1: a quote is not closed",
		"A=\"x\ny\"\nA=hunter2": ":3: A is set twice",
		"A='x'hunter2\n":        ":1: text after the closing quote",
		"A=hunter2\x00\n":       ":1: the value of A is not text",
		"A=hunter2\xff\n":       ":1: the value of A is not text",
	} {
		_, err := config.NewResolver(secretsFile(t, text, 0o600), nil)
		if err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "hunter2") || ship.KindOf(err) != ship.Invalid {
			t.Errorf("%q: %v, want %q", text, err, say)
		}
	}
}

func TestASecretsFileThatOthersCanReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		path := secretsFile(t, "A=1\n", mode)
		_, err := config.NewResolver(path, nil)
		if err == nil || ship.HintOf(err) != "chmod 600 "+path || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
			t.Errorf("mode %o: %v, hint %q", mode, err, ship.HintOf(err))
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if _, err := config.NewResolver(secretsFile(t, "A=1\n", mode), nil); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestASecretsFileOfSomebodyElseIsRefused(t *testing.T) {
	path := secretsFile(t, "A=1\n", 0o600)
	if err := os.Chown(path, 65534, 65534); err != nil {
		testneed.Missing(t, "the right to give a file away", "run the tests as root")
	}
	if _, err := config.NewResolver(path, nil); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("NewResolver = %v", err)
	}
}

func TestA30ASecretsFileThatIsNotAPlainFileIsRefused(t *testing.T) {
	path := secretsFile(t, "A=1\n", 0o600)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	large := secretsFile(t, "A="+strings.Repeat("x", 1<<20), 0o600)
	for file, say := range map[string]string{
		link: "symbolic link", t.TempDir(): "is not a file", large: "more than 1048576", path + ".absent": "no such file",
	} {
		if _, err := config.NewResolver(file, nil); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("NewResolver(%s) = %v, want %q", file, err, say)
		}
	}
}

func FuzzSecretsFile(f *testing.F) {
	f.Add("A=1\nexport B='x\ny' # c\nC=\"\\n\"")
	f.Add("=\n\"")
	path := filepath.Join(f.TempDir(), "secrets.env")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := config.NewResolver(path, nil)
		if err != nil && ship.KindOf(err) != ship.Invalid {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && len(r.Secrets()) > strings.Count(text, "=") {
			t.Fatalf("%q has %d secrets", text, len(r.Secrets()))
		}
	})
}
