package log_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/notify/log"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestEveryMessageIsOneLine(t *testing.T) {
	for topic, level := range map[string]string{notify.TopicSuccess: "INFO", notify.TopicFailure: "WARN", notify.TopicRollback: "WARN"} {
		var out bytes.Buffer
		n, err := log.New(log.Config{}, plugin.Deps{Log: slog.New(slog.NewJSONHandler(&out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		m := notify.Message{Topic: topic, Title: "shop/prod", Result: ship.Result{
			Run: "d-7", Environment: ship.EnvironmentID{App: "shop", Name: "prod"},
			Status: ship.Broken, Reason: "first line\nlevel=INFO msg=forged", Serving: 41,
		}}
		if err := n.Notify(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 1 {
			t.Errorf("%s: %d lines, want 1: %s", topic, lines, &out)
		}
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{
			"level": level, "msg": "run ended", "topic": topic, "run": "d-7",
			"environment": "shop/prod", "status": "failed", "reason": m.Result.Reason, "serving": 41.0,
		} {
			if line[key] != want {
				t.Errorf("%s: %s is %v, want %v", topic, key, line[key], want)
			}
		}
	}
}

func TestALogIsNeeded(t *testing.T) {
	if _, err := log.New(log.Config{}, plugin.Deps{}); err == nil {
		t.Error("New() without a log succeeded")
	}
}
