package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/config"
)

// problemsOf returns the problems of a text as "line:column: message [suggestion]".
func problemsOf(t *testing.T, text string) string {
	t.Helper()
	_, err := config.Parse("f", []byte(text), "/srv/shop", known)
	if err == nil {
		return ""
	}
	list, ok := errors.AsType[config.Errors](err)
	if !ok {
		t.Fatalf("error %#v is not config.Errors", err)
	}
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%d:%d: %s", e.Line, e.Column, e.Message)
		if e.Suggestion != "" {
			fmt.Fprintf(&b, " [%s]", e.Suggestion)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A bad line, added to the least file, and how its only problem begins.
type bad struct{ line, want string }

func checkLines(t *testing.T, lines []bad) {
	t.Helper()
	for _, tt := range lines {
		if got := problemsOf(t, least+tt.line+"\n"); !strings.HasPrefix(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s\n got %swant %s", tt.line, got, tt.want)
		}
	}
}

func TestEachProblemOfAValueHasItsPlace(t *testing.T) {
	checkLines(t, []bad{
		// Keys and types.
		{"hold: [1s]", `4:7: expected text, found a list`},
		{"hold:", `4:7: a value is missing`},
		{"warmup: /", `4:9: expected a list, found text`},
		{"health: on", `4:9: expected a mapping, found text`},
		{"health: {path: 5}", `4:16: expected text, found a number [write it in quotes]`},
		{"hold: 1s\nhold: 2s", `5:1: key "hold" is written twice, first on line 4`},
		{"1: 2", `4:1: the key is a number, not text [write it in quotes]`},
		{"watch: {error_rat: 5%}", `4:9: unknown key "error_rat" [did you mean "error_rate"?]`},
		{"zzzzzz: 5", `4:1: unknown key "zzzzzz"`},
		{"secrets: {}", `4:10: key "file" is missing`},
		// Lint.
		{"lint: {ignore: [{rule: PG116}]}", `4:17: key "reason" is missing`},
		{"lint: {ignore: [{reason: nobody}]}", `4:17: key "rule" is missing`},
		{"lint: {ignore: [{rule: PG116, reason: ' '}]}", `4:39: the rule is ignored without a reason`},
		{"lint: {ignore: [{rule: PG999, reason: nobody}]}", `4:24: there is no rule "PG999"`},
		{"lint: {ignore: [{rule: pg116, reason: nobody}]}", `4:24: there is no rule "pg116" [did you mean "PG116"?]`},
		{"lint: {ignore: [{rule: PG116, file: '[', reason: nobody}]}", `4:37: "[" is no pattern of names`},
		{"lint: {ignore: [{rule: PG116, why: nobody, reason: nobody}]}", `4:31: unknown key "why"`},
		// Scalars.
		{"hold: 20", `4:7: the duration 20 has no unit [write 20s for seconds]`},
		{"hold: soon", `4:7: "soon" is not a duration`},
		{"hold: 100000w", `4:7: "100000w" is not a duration`},
		{"health: {every: 0s}", `4:17: the duration must be more than nothing`},
		{"health: {healthy_after: 0}", `4:25: 0 is not allowed, the minimum is 1`},
		{"health: {healthy_after: 1.5}", `4:25: expected a whole number, found a number`},
		{"watch: {error_rate: 5}", `4:21: the percentage 5 has no sign [did you mean 5%?]`},
		{"watch: {error_rate: 101%}", `4:21: "101%" is not a percentage`},
		{"watch: {error_rate: NaN%}", `4:21: "NaN%" is not a percentage`},
		{"watch: {confidence: 100%}", `4:21: the confidence is from 90% to below 100%`},
		{"watch: {on_inconclusive: pass}", `4:26: "pass" is not one of extend, promote, hold, rollback`},
		{"watch: {min: 0s}", `4:14: the duration must be more than nothing`},
		{"watch: {for: 1h}\nkeep_old: 30m", `5:11: keep_old is 30m0s, shorter than watch.for, 1h0m0s`},
		{"proxy: {asset_path: /static}", `4:21: "/static" is not the folder of an app's static files [write it like /static/]`},
		{"proxy: {asset_path: /}", `4:21: "/" is not the folder of an app's static files [write it like /static/]`},
		{"proxy: {max_body: 50}", `4:19: the size 50 has no unit [write 50MB for megabytes]`},
		{"proxy: {max_body: 0MB}", `4:19: "0MB" is not a size such as 512KB, 10MB or 1GB`},
		{"proxy: {trusted_proxies: [10.0.0/8]}", `4:27: "10.0.0/8" is not a network such as 10.0.0.0/8 or an address`},
		{"proxy: {trusted_proxies: [0.0.0.0/0]}", `4:27: "0.0.0.0/0" is everybody: any client could claim any address`},
		{"proxy: {rate_limit: {burst: 5}}", `4:21: key "requests" is missing`},
		{"proxy: {response_timeout: 0s}", `4:27: the duration must be more than nothing`},
		{"release: {from: image}", `4:17: "image" is not one of zip`},
		{"health: {path: healthz}", `4:16: the path "healthz" does not begin with a slash [did you mean "/healthz"?]`},
		{"health: {path: //evil.example/x}", `4:16: "//evil.example/x" is not the path of a request`},
		{"health: {path: 'http://x/'}", `4:16: the path "http://x/" does not begin with a slash`},
		{"health: {path: '/a b'}", `4:16: "/a b" is not the path of a request`},
		{"health: {host: 'a:80'}", `4:16: the host "a:80" has a port`},
		{"server: http://x", `4:9: the server is ssh://user@host or the path of a unix socket`},
		{"server: ssh://u:pw@x", `4:9: the address of the server holds a password; use a key`},
		{"server: ssh://-oProxyCommand=x", `4:9: the address of the server is not ssh://user@host`},
	})
}

func TestEachProblemOfABlockHasItsPlace(t *testing.T) {
	checkLines(t, []bad{
		// References.
		{"vars: {A: '${secret:}'}", `4:11: a reference is ${secret:NAME} or ${env:NAME}`},
		{"vars: {A: '${HOME}'}", `4:11: a reference is ${secret:NAME} or ${env:NAME}`},
		{"vars: {A: '${secret:X'}", `4:11: a reference is`},
		{"vars: {A: }", `4:10: a value is missing [write "" for an empty value]`},
		{"vars: {A-B: x}", `4:8: "A-B" is not the name of an environment variable`},
		{"health: {path: '/x?t=${secret:T}'}", `4:16: references are not resolved here`},
		// Kinds.
		{"notify: [{slck: x}]", `4:11: unknown notifier "slck", known are webhook, log`},
		{"notify: [{webhook: x, on: [sucess]}]", `4:28: "sucess" is not one of success, failure, rollback [did you mean "success"?]`},
		{"notify: [{webhook: x, log: {}}]", `4:23: a notifier has one kind, this one is already "webhook"`},
		{"notify: [{on: [failure]}]", `4:10: the notifier has no kind`},
		{"gates: {e2e: {scan: {}}}", `4:15: unknown kind of gate "scan", known are run, timeout, load`},
		{"gates: {e2e: {rum: x}}", `4:15: unknown kind of gate "rum", known are run, timeout, load [did you mean "run"?]`},
		{"gates: {e2e: {timeout: 5m}}", `4:14: the gate has no kind`},
		{"gates: {E2E: {run: x}}", `4:9: the name "E2E" must be 1 to 39 lower-case letters`},
		// Database and migrations.
		{"database: {kind: postgres}", `4:11: the database of environment prod has no url`},
		{"database: {url: '${secret:U}'}", `4:17: the kind of database cannot be told from this url [add kind: postgres or kind: sqlite]`},
		{"database: {url: 'mongo://x'}", `4:17: unknown kind of database "mongo", known are postgres, sqlite`},
		{"database: {url: 'postgres://x', backup: {kind: none}}", `4:48: a database without a backup needs a reason`},
		{"database: {url: 'postgres://x', backup: {kind: command}}", `4:48: the backup has no command`},
		{"database: {url: 'postgres://x', backup: {command: x}}", `4:51: the command would not be used`},
		{"database: {url: 'postgres://x', backup: {to: '/x'}}", `4:46: "/x" is not a folder such as file:///var/backups`},
		{"migrations: {tool: django}", `4:13: migrations without a database`},
		{"database: {url: 'postgres://x'}\nmigrations: {tool: djanog}", `5:20: unknown migration tool "djanog", known are django, sqlfiles, command [did you mean "django"?]`},
		{"database: {url: 'postgres://x'}\nmigrations: {route: hold}", `5:13: the migrations have no tool`},
	})
}

func TestEnvironmentsAreCheckedTogether(t *testing.T) {
	const head = "app: shop\nrun: {processes: {web: serve, worker: work}}\ngates: {e2e: {run: x}}\nenvironments:\n"
	for _, tt := range []struct{ environments, want string }{
		{"  a: {after: zzz}", `5:14: there is no environment "zzz"`},
		{"  a: {after: stagin}\n  staging: {host: b.test}", `5:14: there is no environment "stagin" [did you mean "staging"?]`},
		{"  a: {after: b}\n  b: {after: a, host: b.test}", `5:14: environments come after each other in a circle: a after b after a`},
		{"  a: {}\n  b: {}", `6:3: a and b both take the requests for every host at 127.0.0.1:8080 [give each its own hosts or listen]`},
		{"  a: {host: X.test}\n  b: {hosts: [y.test, x.test]}", `6:3: a and b both take the requests for x.test at 127.0.0.1:8080`},
		{"  a: {listen: ':80'}\n  b: {listen: '127.0.0.1:80', host: b.test}", `6:15: 127.0.0.1:80 cannot be opened beside :80 of a`},
		{"  a: {listen: 80}", `5:15: expected an address and a port, found a number [did you mean 127.0.0.1:80?]`},
		{"  a: {listen: 'shop.test:80'}", `5:15: "shop.test" is not an IP address to listen on`},
		{"  a: {listen: [':0']}", `5:16: ":0" is not an address and a port`},
		{"  a: {listen: '::1:80'}", `5:15: "::1:80" is not an address and a port`},
		{"  a: {host: '*.test'}", `5:13: the host "*.test" has a wildcard`},
		{"  a: {host: a.test, hosts: [b.test]}", `5:13: host and hosts are both given`},
		{"  a: {gates: [e2e, e3e]}", `5:20: there is no gate "e3e" [did you mean "e2e"?]`},
		{"  a: {gates: [e2e, e2e]}", `5:20: the gate "e2e" is listed twice`},
		{"  a: {processes: {wrker: {instances: 2}}}", `5:19: there is no process "wrker" [did you mean "worker"?]`},
		{"  a: {processes: {web: {instances: 0}}}", `5:36: web must have an instance in a`},
		{"  a: {processes: {web: {}}}", `5:24: key "instances" is missing`},
		{"  a: {platform: docker}", `5:17: unknown platform "docker", known are process`},
		{"  a: {platform: {proces: {}}}", `5:18: unknown platform "proces", known are process [did you mean "process"?]`},
		{"  a: {branch: '../x'}", `5:15: "../x" is not the name of a branch`},
		{"  a: {tls: {cert: x}}", `5:12: key "key" is missing`},
		{"  a_b: {}", `5:3: the name "a_b" must be 1 to 39 lower-case letters`},
	} {
		if got := problemsOf(t, head+tt.environments+"\n"); !strings.HasPrefix(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s\n got %swant %s", tt.environments, got, tt.want)
		}
	}
}

func TestEnvironmentsMayShareAnAddressWhenTheirHostsDiffer(t *testing.T) {
	for _, environments := range []string{
		"{a: {host: a.test}, b: {host: b.test}}",
		"{a: {host: a.test}, b: {}}",
		"{a: {listen: '127.0.0.1:8081'}, b: {listen: '127.0.0.2:8081'}}",
		"{a: {listen: '[::1]:8081'}, b: {listen: '127.0.0.1:8081'}}",
	} {
		if got := problemsOf(t, "app: shop\nrun: {processes: {web: x}}\nenvironments: "+environments); got != "" {
			t.Errorf("%s: %s", environments, got)
		}
	}
}

func TestWhatAFileMustSay(t *testing.T) {
	for text, want := range map[string]string{
		"":             "1:1: the file is empty",
		"# nothing\n":  "1:1: the file is empty",
		"- a\n":        "1:1: expected a mapping, found a list",
		"text":         "1:1: expected a mapping, found text",
		"server: /x\n": "1:1: key \"app\" is missing\n1:1: key \"run\" is missing\n1:1: key \"environments\" is missing\n",
		"app: shop\nrun: {processes: {}}\nenvironments: {}\n":             "2:18: there is no process \"web\"",
		"app: shop\nrun: {processes: {wbe: x}}\nenvironments: {a: {}}\n":  "2:18: there is no process \"web\", which gets the requests [did you mean \"wbe\"?]",
		"app: shop\nrun: {processes: {web: {}}}\nenvironments: {a: {}}\n": "2:24: key \"command\" is missing",
		"app: 5\nrun: {processes: {web: x}}\nenvironments: {a: {}}\n":     "1:6: expected text, found a number",
		"app: shop\n---\napp: shop\n":                                     "3:1: a second document begins",
		"app: [\n":                                                        "1:6: sequence end token ']' not found",
		"app: shop\n\trun: {}\n":                                          "2:1: found character ' ' that cannot start any token",
		"app: shop\nrun: {processes: {web: x}}\nenvironments: {a: }\n":    "3:18: expected a mapping, found nothing",
	} {
		if got := problemsOf(t, text); !strings.HasPrefix(got, want) {
			t.Errorf("%q\n got %swant %s", text, got, want)
		}
	}
}

func TestA29AFileThatCostsMoreThanItSaysIsRefused(t *testing.T) {
	bomb := "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
	for name, tt := range map[string]struct{ text, want string }{
		"aliases":        {bomb, "1:4: anchors and aliases are not read here"},
		"merge key":      {"a: {}\n<<: {b: c}\n", "2:1: merge keys are not read here"},
		"tag":            {"a: !!binary aGk=\n", "1:4: tags are not read here"},
		"directive":      {"%YAML 1.2\n---\na: b\n", "1:1: directives are not read here"},
		"NUL":            {"app: sh\x00op\n", "1:8: the file is not UTF-8 text"},
		"not UTF-8":      {"app: \xff\n", "1:6: the file is not UTF-8 text"},
		"escape":         {"app: shop\n# \x1b[2J\n", "2:3: the file is not UTF-8 text"},
		"NUL, escaped":   {"app: \"sh\\0op\"\nrun: {processes: {web: x}}\nenvironments: {a: {}}\n", "1:6: the text has the control character U+0000"},
		"size":           {strings.Repeat("#", 1<<20+1), "1:1: the file is not UTF-8 text, or larger than 1048576 bytes"},
		"flow depth":     {"a: " + strings.Repeat("[", 100), "1:68: more than 64 levels"},
		"map depth":      {"a: " + strings.Repeat("{a: ", 100), "1:260: more than 64 levels"},
		"deep and large": {"a: " + strings.Repeat("[", 1<<19), "1:20002: the file has more than 20000 words and signs"},
		"dash depth":     {strings.Repeat("- ", 1<<19), "1:"},
		"question mark":  {strings.Repeat("? ", 100), "1:1: keys after a question mark are not read here"},
		"keys":           {strings.Repeat("a: b\n", 1<<17), "6667:"},
		"block depth":    {blocks(1400), "513:"},
		"environments":   {least + "gates: {" + many(200, "g%d: {run: x}, ") + "}\n", "4:"},
		"list":           {least + "warmup: [" + strings.Repeat("/, ", 2000) + "]\n", "4:"},
		"settings":       {least + "notify: [{log: " + strings.Repeat("{a: ", 62) + strings.Repeat("}", 62) + "}]", ""},
	} {
		begin := time.Now()
		got := problemsOf(t, tt.text)
		if !strings.HasPrefix(got, tt.want) || tt.want != "" && got == "" {
			t.Errorf("%s: got %.300q, want %q", name, got, tt.want)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s took %s", name, took)
		}
	}
}

func blocks(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestA29DuplicateKeysAreRefusedAtEveryLevel(t *testing.T) {
	text := "app: shop\napp: shop\nrun: {processes: {web: x, web: y}}\nenvironments: {a: {}, a: {}}\nnotify: [{log: {x: 1, x: 2}}]\nvars: {A: b, A: c}\n"
	want := []string{"2:1: key \"app\"", "3:27: key \"web\"", "4:23: key \"a\"", "5:23: key \"x\"", "6:14: key \"A\""}
	got := strings.Split(strings.TrimSpace(problemsOf(t, text)), "\n")
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]+" is written twice") {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestA30NoPathLeavesTheProject(t *testing.T) {
	for _, path := range []string{"../x", "a/../../x", "a/..", "/etc/passwd", "~/x", `..\x`, "."} {
		quoted := "'" + path + "'"
		for _, line := range []string{
			"app: shop\nrun: {processes: {web: x}, shared: [" + quoted + "]}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {processes: {web: x}, python: {requirements: " + quoted + "}}\nenvironments: {a: {}}\n",
		} {
			if got := problemsOf(t, line); !strings.HasPrefix(got, "2:") {
				t.Errorf("%s is taken: %s", path, got)
			}
		}
		if got := problemsOf(t, least+"release: {exclude: ["+quoted+"]}\n"); got == "" && path != "." {
			t.Errorf("exclude takes %s", path)
		}
	}
}

func TestA31NoTextThatReachesExecCanBeAnOptionOrALine(t *testing.T) {
	for _, bad := range []string{`"-x"`, `"a\nb"`, `"a\0b"`, `"a\eb"`, `"a\u0085b"`, `""`} {
		for _, line := range []string{
			"app: shop\nrun: {processes: {web: [%s]}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {processes: {web: %s}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {setup: [%s], processes: {web: x}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {prepare: [%s], processes: {web: x}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {user: %s, processes: {web: x}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {shared: [%s], processes: {web: x}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {python: {interpreter: %s}, processes: {web: x}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {python: {requirements: %s}, processes: {web: x}}\nenvironments: {a: {}}\n",
			"app: shop\nrun: {processes: {web: x}}\nenvironments: {a: {branch: %s}}\n",
			"app: shop\nrun: {processes: {web: x}}\nenvironments: {a: {host: %s}}\n",
			"app: shop\nrun: {processes: {web: x}}\nenvironments: {a: {user: %s}}\n",
			least + "server: %s\n",
			least + "gates: {g: {run: %s}}\n",
			least + "secrets: {file: %s}\n",
			least + "health: {path: %s}\n",
			least + "database: {url: 'postgres://h/d', backup: {kind: command, command: %s}}\n",
			least + "database: {url: 'postgres://h/d', backup: {to: %s}}\n",
		} {
			text := fmt.Sprintf(line, bad)
			// Within a list a word may hold a next line's text only as an argument: never here.
			if got := problemsOf(t, text); got == "" {
				t.Errorf("taken:\n%s", text)
			}
		}
	}
	for _, shell := range []string{"a; b", "a | b", "a && b", "a > b", "a $(b)", "a `b`", "a &"} {
		if got := problemsOf(t, "app: shop\nrun: {processes: {web: '"+shell+"'}}\nenvironments: {a: {}}\n"); !strings.Contains(got, "needs a shell") {
			t.Errorf("%s: %s", shell, got)
		}
	}
}

func TestSecretsThatStandInTheFileAreNotInItsProblems(t *testing.T) {
	text := least + "vars: {DB_PASSWORD: hunter22, API_KEY: 'hunter23'}\n" +
		"database: {url: 'postgres://app:hunter24@h/db', kid: x}\nserver: 'ssh://u:hunter25@h'\nhold: postgres://u:hunter26@h\n"
	_, err := config.Parse("f", []byte(text), "/", known)
	if err == nil {
		t.Fatal("no problem was found")
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is shown:\n%s", err)
	}
	if !strings.Contains(err.Error(), "    5 │ database: {url: 'postgres://app:***@h/db', kid: x}\n      │                                            ^^^ did you mean \"kind\"?") {
		t.Errorf("the caret is not under the key:\n%s", err)
	}
}

func TestALongLineIsShownAroundItsProblem(t *testing.T) {
	_, err := config.Parse("f", []byte(least+"vars: {A: "+strings.Repeat("x", 5000)+", B-C: y}\n"), "/", known)
	if err == nil || len(err.Error()) > 700 || !strings.Contains(err.Error(), "B-C: y}") {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(least))
	f.Add([]byte(least + "helth: {path: /}\nvars: {A: '${secret:B}'}\n"))
	f.Add([]byte("a: &a [*a]\n? b\n: c\n<<: *a\n"))
	f.Add([]byte("app: [\n\t{"))
	f.Add([]byte(least + "notify: [{webhook: {url: x}, on: [failure]}]\nwatch: {error_rate: 1%, for: 1h}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := config.Parse("f", data, "/srv", known)
		if err == nil {
			for _, name := range file.Environments() {
				env, err := file.Environment(name)
				if err != nil {
					t.Fatalf("Environment(%q): %v", name, err)
				}
				if _, err := config.Show(env); err != nil {
					t.Fatalf("Show: %v", err)
				}
			}
			return
		}
		list, ok := errors.AsType[config.Errors](err)
		if !ok || len(list) == 0 {
			t.Fatalf("error %#v has no problems", err)
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1
		for _, e := range list {
			if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Message == "" {
				t.Fatalf("problem %+v of a file of %d lines", e, lines)
			}
		}
	})
}
