package deadline_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/deadline"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestADeadlineStaysWhenTheClockIsSet(t *testing.T) {
	d := deadline.In(time.Minute)
	if d.Boot == "" {
		testneed.Missing(t, "the time since boot", "run the tests on Linux")
	}
	for _, by := range []time.Duration{0, 2 * time.Hour, -2 * time.Hour} {
		moved := d
		moved.Until = moved.Until.Add(by) // as if the clock had been set meanwhile
		if left := moved.Left(); left > time.Minute || left < 30*time.Second {
			t.Errorf("the clock moved by %s: %s left, want a minute", by, left)
		}
	}
}

func TestADeadlineOfAnotherBootIsToldByTheWall(t *testing.T) {
	d := deadline.In(time.Minute)
	d.Boot, d.Up = "another", 0
	if left := d.Left(); left > time.Minute || left < 30*time.Second {
		t.Errorf("%s left, want a minute", left)
	}
}

func TestADeadlineIsWrittenAndRead(t *testing.T) {
	want := deadline.In(time.Hour)
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got deadline.Deadline
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !got.Until.Equal(want.Until) || got.Boot != want.Boot || got.Up != want.Up {
		t.Errorf("read %+v, want %+v", got, want)
	}
	var old deadline.Deadline // as it was written before there was more than a time
	if err := json.Unmarshal([]byte(`{"until":"2020-01-01T00:00:00Z"}`), &old); err != nil || old.Left() > 0 {
		t.Errorf("an old one: %v, %s left", err, old.Left())
	}
}
