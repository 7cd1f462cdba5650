package analysis_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/ship"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns a sample so many seconds into the watch.
func at(seconds float64, fresh analysis.Counts) analysis.Sample {
	return analysis.Sample{At: noon.Add(time.Duration(seconds * float64(time.Second))), New: fresh}
}

// counts are requests of which some failed, all of which count.
func counts(requests, errors int64) analysis.Counts {
	return analysis.Counts{Requests: requests, Errors: errors, Counted: errors, Timed: requests, Slow: errors}
}

func watch(l ship.Limits) *analysis.Evaluator {
	return analysis.New(analysis.Config{Limits: l, Began: noon, New: "v42", Old: "v41"})
}

func wants(t *testing.T, j analysis.Judgement, o ship.Outcome, a analysis.Action, says ...string) {
	t.Helper()
	if j.Outcome != o || j.Action != a {
		t.Errorf("got %s and %q (%s), want %s and %q", j.Outcome, j.Action, j.Reason, o, a)
	}
	for _, s := range says {
		if !strings.Contains(j.Reason, s) {
			t.Errorf("%q does not say %q", j.Reason, s)
		}
	}
}

func TestAVerdictSaysEverythingInOneSentence(t *testing.T) {
	e := analysis.New(analysis.Config{
		Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01}, Began: noon, New: "v42", Old: "v41",
		Before: analysis.Before{Requests: 1790, Errors: 1},
	})
	wants(t, e.Observe(at(1, counts(150, 0))), ship.Wait, analysis.Nothing, "0 of 150 requests failed (0 %), limit 1 %", "between 0 % and 2.9 % (95 %)", "more requests like these", "59s left")
	s := at(2, counts(203, 11))
	s.Crowd = analysis.Crowd{Clients: 1, Top: 1}
	j := e.Observe(s)
	wants(t, j, ship.Fail, analysis.RollBack,
		"11 of 203 requests failed on v42 (5.4 %), limit 1 %. Chance of this if the rate were ≤ 1 %: < 1 in 1 000.",
		"Previous release: 1 of 1 790 before the swap", "Every error counts: 1 client in the last 10 s, the busiest with 100 % of the requests")
	if again := e.Observe(at(3, counts(100_000, 11))); again != j {
		t.Errorf("the judgement became %+v, it was %+v", again, j)
	}
}

func TestTwoErrorsAreNotEnoughWhateverTheirShare(t *testing.T) {
	e := watch(ship.Limits{For: time.Minute, ErrorRate: 0.01})
	wants(t, e.Observe(at(1, counts(2, 2))), ship.Wait, analysis.Nothing)
	wants(t, e.Observe(at(1, counts(3, 3))), ship.Fail, analysis.RollBack)
}

func TestHealthIsProvenEarlyAndTheWatchGoesOn(t *testing.T) {
	e := watch(ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01, P95: time.Second})
	if j := e.Observe(at(30, counts(5000, 0))); j.Healthy {
		t.Error("healthy within half a minute, though a minute is the least")
	}
	j := e.Observe(at(61, counts(10_000, 0)))
	wants(t, j, ship.Wait, analysis.Nothing, "healthy (proven)")
	if !j.Healthy {
		t.Errorf("not healthy after 10 000 good requests: %s", j.Reason)
	}
	wants(t, e.Observe(at(100, counts(10_040, 40))), ship.Fail, analysis.RollBack)
}

func TestTheEndOfAWatchIsNeverSilentlyGreen(t *testing.T) {
	tests := []struct {
		policy ship.OnInconclusive
		after  float64
		want   ship.Outcome
		action analysis.Action
		says   string
	}{
		{ship.PromoteAnyway, 60, ship.NoConclusion, analysis.Promote, "not proven in 1m: 0 of 100 requests failed (0 %), limit 1 %; the error rate is between 0 % and 4.4 % (95 %), about 269 more requests"},
		{ship.HoldForAPerson, 60, ship.NoConclusion, analysis.Hold, "not proven"},
		{ship.RollBackAnyway, 60, ship.Fail, analysis.RollBack, "not proven"},
		{ship.Extend, 60, ship.Wait, analysis.Nothing, "watched until 12:02:00 UTC"},
		{"", 60, ship.Wait, analysis.Nothing, "watched until 12:02:00 UTC"},
		{ship.Extend, 120, ship.NoConclusion, analysis.Promote, "not proven in 2m"},
	}
	for _, tt := range tests {
		e := watch(ship.Limits{For: time.Minute, ErrorRate: 0.01, OnInconclusive: tt.policy})
		e.Observe(at(59, counts(100, 0)))
		j := e.Observe(at(60, counts(100, 0)))
		if tt.after > 60 {
			j = e.Observe(at(tt.after, counts(100, 0)))
		}
		wants(t, j, tt.want, tt.action, tt.says)
	}
}

func TestNoTrafficIsNeverAPass(t *testing.T) {
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01, OnInconclusive: ship.PromoteAnyway}, Began: noon, Probes: true})
	s := at(60, analysis.Counts{})
	s.Probes = analysis.Probes{Sent: 60, Healthy: 60}
	wants(t, e.Observe(s), ship.NoConclusion, analysis.Promote, "0 of 0 requests failed", "60 of 60 health checks were good", "no evidence on requests")
}

func TestAnExtendedWatchEndsWhenHealthIsProven(t *testing.T) {
	e := watch(ship.Limits{For: time.Minute, ErrorRate: 0.01})
	e.Observe(at(60, counts(100, 0)))
	wants(t, e.Observe(at(70, counts(400, 0))), ship.Pass, analysis.Promote, "healthy, proven: 0 of 400 requests failed")
}

func TestHardEvidenceNeedsNoStatistics(t *testing.T) {
	tests := []struct {
		hard analysis.Hard
		says string
	}{
		{analysis.Hard{Exits: []string{"web.1: exit code 1"}}, "an instance ended: web.1: exit code 1"},
		{analysis.Hard{Restarts: 2}, "restarted 2 times"},
		{analysis.Hard{Unready: 5100 * time.Millisecond}, "no health check was good for 5.1s"},
		{analysis.Hard{Refused: 3}, "3 requests in a row could not connect"},
	}
	for _, tt := range tests {
		s := at(1, analysis.Counts{})
		s.Hard = tt.hard
		wants(t, watch(ship.Limits{For: time.Minute}).Observe(s), ship.Fail, analysis.RollBack, tt.says)
	}
	s := at(1, analysis.Counts{})
	s.Hard = analysis.Hard{Restarts: 1, Unready: 5 * time.Second, Refused: 2}
	wants(t, watch(ship.Limits{For: time.Minute}).Observe(s), ship.Wait, analysis.Nothing)
}

func TestAHangIsFoundBeforeAnyRequestEnds(t *testing.T) {
	e := watch(ship.Limits{For: time.Minute, P95: 2 * time.Second, Warmup: time.Second})
	e.Observe(at(1, counts(10, 0)))
	j := e.Observe(at(4, analysis.Counts{Requests: 10, Timed: 16, Slow: 6}))
	wants(t, j, ship.Fail, analysis.RollBack, "6 of 6 requests on v42 took longer than 2s or failed (100 %), limit 5 % (p95)")
}

func TestLatencyIsNotJudgedBeforeItIsWarm(t *testing.T) {
	e := watch(ship.Limits{For: time.Minute, P95: time.Second})
	wants(t, e.Observe(at(5, analysis.Counts{Requests: 100, Timed: 100, Slow: 100})), ship.Wait, analysis.Nothing)
	e.Observe(at(6, analysis.Counts{Requests: 200, Timed: 200, Slow: 150}))
	wants(t, e.Observe(at(30, analysis.Counts{Requests: 5000, Timed: 5000, Slow: 150})), ship.Wait, analysis.Nothing)
	wants(t, e.Observe(at(31, analysis.Counts{Requests: 5100, Timed: 5100, Slow: 250})), ship.Fail, analysis.RollBack)
}

func TestDeadProbesRollBackWithoutTraffic(t *testing.T) {
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01}, Began: noon, New: "v42", Probes: true})
	for i := range int64(2) {
		s := at(0.5*float64(i), analysis.Counts{})
		s.Probes = analysis.Probes{Sent: i + 1, Failing: int(i + 1), Last: "status 500"}
		wants(t, e.Observe(s), ship.Wait, analysis.Nothing)
	}
	s := at(1, analysis.Counts{})
	s.Probes = analysis.Probes{Sent: 3, Failing: 3, Last: "status 500"}
	wants(t, e.Observe(s), ship.Fail, analysis.RollBack, "3 of 3 health checks failed on v42, the last one: status 500")
}

func TestWithoutAWayBackARollbackBecomesAHold(t *testing.T) {
	e := analysis.New(analysis.Config{
		Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01}, Began: noon, NoWayBack: "migration 0018 cannot be taken back",
	})
	j := e.Observe(at(1, counts(5, 5)))
	wants(t, j, ship.NoConclusion, analysis.Hold, "5 of 5 requests failed", "traffic was not given back: migration 0018 cannot be taken back")
	if j.Alert == "" {
		t.Error("nobody is called")
	}
}

func TestALimitTheOldReleaseBrokeTooIsRaised(t *testing.T) {
	c := analysis.Config{Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01}, Began: noon, Before: analysis.Before{Requests: 10_000, Errors: 500}}
	if b := c.Bounds(); b.ErrorRate < 0.075 || b.ErrorRate > 0.1 || !b.OldErrors {
		t.Errorf("the bound is %+v", b)
	}
	e := analysis.New(c)
	wants(t, e.Observe(at(30, counts(5000, 250))), ship.Wait, analysis.Nothing)
	wants(t, e.Observe(at(31, counts(5100, 350))), ship.Fail, analysis.RollBack, "raised from 1 %, which the previous release did not keep either")
	c.Before = analysis.Before{Requests: 3}
	if b := c.Bounds(); b.ErrorRate != 0.01 || b.OldErrors {
		t.Errorf("an old release that hardly had a request raises the limit: %+v", b)
	}
}

// TestEvidenceMovesToAnotherProcess feeds one evaluator, and another that is
// written and read again now and then.
func TestEvidenceMovesToAnotherProcess(t *testing.T) {
	c := analysis.Config{
		Limits: ship.Limits{For: 20 * time.Minute, ErrorRate: 0.01, P95: time.Second}, Began: noon,
		Split: true, Sticky: true, Before: analysis.Before{Requests: 100, Latency: []analysis.Bucket{{Upper: time.Millisecond, N: 100}}},
	}
	one, other := analysis.New(c), analysis.New(c)
	r := rand.New(rand.NewPCG(1, 2))
	var s analysis.Sample
	for i := range 1500 {
		s.At = noon.Add(time.Duration(i) * 700 * time.Millisecond)
		s.Share = []float64{0.1, 0.5, 0}[i/500]
		for range 20 {
			c := &s.New
			if r.Float64() > max(s.Share, 0.05) && s.Share > 0 {
				c = &s.Old
			}
			c.Requests, c.Timed = c.Requests+1, c.Timed+1
			if r.Float64() < 0.008 {
				c.Errors, c.Counted, c.Slow, c.Slower = c.Errors+1, c.Counted+1, c.Slow+1, c.Slower+1
			}
		}
		if i%20 == 0 {
			other = moved(t, other)
		}
		if a, b := one.Observe(s), other.Observe(s); !reflect.DeepEqual(a, b) {
			t.Fatalf("sample %d: %+v, after the move %+v", i, a, b)
		}
	}
	again := analysis.Replay(one.Evidence())
	if !again.Agrees(one.Evidence()) {
		t.Errorf("the replay says %+v, it was %+v", again.Judgement, one.Evidence().Judgement)
	}
}

func moved(t *testing.T, e *analysis.Evaluator) *analysis.Evaluator {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 512<<10 {
		t.Fatalf("the evidence has %d bytes", len(data))
	}
	e = new(analysis.Evaluator)
	if err := json.Unmarshal(data, e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAReplayComesToTheSameJudgement(t *testing.T) {
	for name, fails := range map[string]float64{"bad": 0.05, "good": 0} {
		e := watch(ship.Limits{For: 15 * time.Minute, ErrorRate: 0.01, OnInconclusive: ship.PromoteAnyway})
		r := rand.New(rand.NewPCG(3, 4))
		var c analysis.Counts
		j := analysis.Judgement{Outcome: ship.Wait}
		for second := 0; !j.Ended(); second++ {
			for range 10 {
				c.Requests, c.Timed = c.Requests+1, c.Timed+1
				if second > 700 && r.Float64() < fails {
					c.Errors, c.Counted, c.Slow = c.Errors+1, c.Counted+1, c.Slow+1
					e.Observe(at(float64(second)+0.5, c))
				}
			}
			j = e.Observe(at(float64(second+1), c))
		}
		data, err := json.Marshal(e.Evidence())
		if err != nil {
			t.Fatal(err)
		}
		var kept analysis.Evidence
		if err := json.Unmarshal(data, &kept); err != nil {
			t.Fatal(err)
		}
		again := analysis.Replay(kept)
		if again.Judgement != j || !again.Agrees(kept) {
			t.Errorf("%s: the replay says %+v, it was %+v", name, again.Judgement, j)
		}
		if len(data) > 512<<10 {
			t.Errorf("the evidence has %d bytes", len(data))
		}
		kept.Trail.Samples[len(kept.Trail.Samples)-1].New.Errors += 40
		kept.Trail.Samples[len(kept.Trail.Samples)-1].New.Counted += 40
		if analysis.Replay(kept).Agrees(kept) {
			t.Errorf("%s: a replay of other counters agrees", name)
		}
	}
}

func TestTheClockOfTheMachineNeitherEndsNorProlongsAWatch(t *testing.T) {
	e := watch(ship.Limits{For: time.Minute, ErrorRate: 0.01, OnInconclusive: ship.PromoteAnyway})
	e.Observe(at(10, counts(10, 0)))
	wants(t, e.Observe(at(3610, counts(20, 0))), ship.Wait, analysis.Nothing, "50s left") // an hour ahead
	wants(t, e.Observe(at(-7200, counts(30, 0))), ship.Wait, analysis.Nothing, "50s left")
	wants(t, e.Observe(at(-7160, counts(40, 0))), ship.Wait, analysis.Nothing, "10s left")
	j := e.Observe(at(-7150, counts(50, 0)))
	wants(t, j, ship.NoConclusion, analysis.Promote, "not proven in 1m: 0 of 50 requests failed")
	if !j.At.Equal(at(-7150, counts(0, 0)).At) {
		t.Errorf("the judgement is of %s", j.At)
	}
	if again := analysis.Replay(e.Evidence()); !again.Agrees(e.Evidence()) {
		t.Errorf("the replay says %+v, it was %+v", again.Judgement, j)
	}
}

// TestNoSampleBreaksTheEvaluator feeds it what no caller should.
func TestNoSampleBreaksTheEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-5, 2000)
		some := rapid.Custom(func(t *rapid.T) analysis.Counts {
			return analysis.Counts{
				Requests: n.Draw(t, "requests"), Errors: n.Draw(t, "errors"), Counted: n.Draw(t, "counted"), Rejected: n.Draw(t, "rejected"),
				Timed: n.Draw(t, "timed"), Slow: n.Draw(t, "slow"), Slower: n.Draw(t, "slower"),
			}
		})
		e := analysis.New(analysis.Config{
			Limits: ship.Limits{
				For: time.Minute, ErrorRate: rapid.Float64Range(0, 1).Draw(t, "limit"), P95: time.Second, Warmup: time.Second,
				OnInconclusive: rapid.SampledFrom([]ship.OnInconclusive{"", ship.HoldForAPerson, ship.RollBackAnyway}).Draw(t, "policy"),
			},
			Began: noon, Split: rapid.Bool().Draw(t, "split"), Sticky: rapid.Bool().Draw(t, "sticky"), Probes: true, Asks: rapid.Bool().Draw(t, "asks"),
			Before: analysis.Before{Requests: 50, Errors: 3, Latency: []analysis.Bucket{{Upper: time.Millisecond, N: 50}}},
		})
		for range rapid.IntRange(1, 60).Draw(t, "samples") {
			s := at(rapid.Float64Range(-10, 200).Draw(t, "at"), some.Draw(t, "new"))
			s.Old, s.Share = some.Draw(t, "old"), rapid.SampledFrom([]float64{0, 0.1, 0.9, 1, -1, 7, math.NaN()}).Draw(t, "share")
			s.Probes = analysis.Probes{Sent: n.Draw(t, "sent"), Healthy: n.Draw(t, "healthy")}
			s.Back = analysis.Probes{Sent: n.Draw(t, "asked"), Healthy: n.Draw(t, "good")}
			if j := e.Observe(s); j.Reason == "" || j.Certainty < 0 || j.Certainty > 1 || j.Ended() == (j.Action == analysis.Nothing) {
				t.Fatalf("judgement %+v", j)
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		}
		ev := e.Evidence()
		if again := analysis.Replay(ev); !again.Agrees(ev) {
			t.Fatalf("the replay says %+v, it was %+v", again, ev)
		}
	})
}

func TestNobodyWaitsForProofThatWillNotCome(t *testing.T) {
	quiet := func(l ship.Limits, seconds float64, fresh analysis.Counts, p analysis.Probes) analysis.Judgement {
		e := analysis.New(analysis.Config{Limits: l, Began: noon, New: "v42", Old: "v41", Probes: true})
		s := at(seconds, fresh)
		s.Probes = p
		return e.Observe(s)
	}
	limits := ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01, Min: 30 * time.Second}
	held, taken := limits, limits
	held.OnInconclusive, taken.OnInconclusive = ship.HoldForAPerson, ship.RollBackAnyway
	good := analysis.Probes{Sent: 30, Healthy: 30}
	tests := []struct {
		name   string
		limits ship.Limits
		at     float64
		counts analysis.Counts
		probes analysis.Probes
		want   string
	}{
		{"no request", limits, 30, counts(0, 0), good, "no request came within 30s, 30 of 30 health checks were good"},
		{"too few requests", limits, 30, counts(10, 0), good, "10 requests came within 30s and none failed, about 359 more would prove health, 30 of 30 health checks were good"},
		{"too early", limits, 29, counts(0, 0), good, ""},
		{"enough requests in time", limits, 30, counts(60, 0), good, ""},
		{"one that failed", limits, 30, counts(10, 1), good, ""},
		{"a bad health check", limits, 30, counts(0, 0), analysis.Probes{Sent: 30, Healthy: 29, Failing: 1}, ""},
		{"no health check", limits, 30, counts(0, 0), analysis.Probes{}, ""},
		{"a person decides at the end", held, 30, counts(0, 0), good, ""},
		{"taken back at the end", taken, 30, counts(0, 0), good, ""},
		{"proven", limits, 30, counts(5000, 0), good, ""},
	}
	for _, tt := range tests {
		j := quiet(tt.limits, tt.at, tt.counts, tt.probes)
		if j.Quiet != tt.want || j.Outcome != ship.Wait {
			t.Errorf("%s: %s, quiet %q, want %q", tt.name, j.Outcome, j.Quiet, tt.want)
		}
	}
}
