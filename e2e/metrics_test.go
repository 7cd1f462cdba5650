package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape reads measurements as Prometheus does.
func scrape(url string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, body)
	}
	return string(body), nil
}

func TestServerAndNodeTellPrometheusWhatAWatchSees(t *testing.T) {
	data, err := os.MkdirTemp("", "sl-")
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w := &world{t: t, binary: binary, data: data}
	t.Cleanup(func() { w.stop(); _ = os.RemoveAll(data) })
	w.up("--metrics", address)
	p := w.street("2m")
	p.do("deploy", "production").expect(t, 0, "", "unchanged", 1)
	c := p.crowd(4)
	p.write("VERSION", "2\n", 0o644)
	live := p.live("deploy", "production", "--wait=watched")
	if !live.started("watch") {
		t.Fatal(live.end().text)
	}
	var node string
	trials := regexp.MustCompile(`shiplock_watch_trials\{app="street",environment="production",test="[^"]+"\} ([1-9]\S*)`)
	w.eventually(30*time.Second, "the evidence of the watch is shown", func() error {
		var err error
		if node, err = scrape("http://" + address + "/node/metrics"); err == nil && !trials.MatchString(node) {
			err = errors.New("no trials")
		}
		return err
	})
	server, err := scrape("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	printed, code := w.run("node", "metrics", "--data", w.data)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, printed)
	}
	for what, text := range map[string]string{"server": server, "node": node, "printed": printed} {
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", what, problems, err)
		}
	}
	for text, wants := range map[string][]string{
		server: {"shiplock_node_up 1", `shiplock_runs{app="street",environment="production",status="running"} 1`},
		node:   {"shiplock_watch_evidence_ratio{", "shiplock_watch_rollback_ratio{", "shiplock_watch_marked{", `shiplock_proxy_workers{state="serving"} 1`},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s is missing in\n%s", want, text)
			}
		}
	}
	number, err := strconv.ParseFloat(trials.FindStringSubmatch(node)[1], 64)
	if err != nil || number > float64(c.sent.Load()) {
		t.Errorf("the evidence rests on %v trials, %d requests were sent, %v", number, c.sent.Load(), err)
	}
	if _, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/break", p.port), "", nil); err != nil {
		t.Fatal(err)
	}
	if e := live.end(); e.code != 4 {
		t.Errorf("exit code %d: %s", e.code, e.Reason)
	}
	close(c.stop)
	c.all.Wait()
}

func TestMetricsAtAnAddressForEverybodyAreRefused(t *testing.T) {
	data, err := os.MkdirTemp("", "sl-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, binary: binary, data: data}
	t.Cleanup(func() { w.stop(); _ = os.RemoveAll(data) })
	for _, args := range [][]string{{"up"}, {"node", "run"}} {
		out, code := w.run(append(args, "--metrics", "0.0.0.0:0", "--data", data)...)
		if code != 2 || !strings.Contains(out, "loopback") {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
}

func TestAnUpgradeToAProgramElsewhereSaysWhatTheNextStartRuns(t *testing.T) {
	program := other(t)
	w, _ := deployed(t, "1s")
	if out, code := w.upgrade(program); code != 0 || !strings.Contains(out, "Next: sudo install -m 755 "+program+" "+binary) {
		t.Errorf("exit code %d: %s", code, out)
	}
	// The unit knows better than the process, which may have been upgraded before.
	installed := filepath.Join(t.TempDir(), "shiplock")
	if out, err := exec.Command("cp", program, installed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	unit := filepath.Join(t.TempDir(), "shiplock-node.service")
	if err := os.WriteFile(unit, fmt.Appendf(nil, "[Service]\nExecStart=%s node run --data %s\n", installed, w.data), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := w.run("node", "upgrade", "--unit", unit, "--binary", program, "--data", w.data)
	if code != 0 || !strings.Contains(out, "Next: sudo install -m 755 "+program+" "+installed) {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, code = w.run("node", "upgrade", "--unit", unit, "--binary", installed, "--data", w.data)
	if code != 0 || strings.Contains(out, "sudo install") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
