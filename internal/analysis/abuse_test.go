package analysis_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/analysis/simulate"
	"github.com/shiplock/shiplock/internal/ship"
)

// looping has one client fail in a loop beside a crowd of 200, so many times a
// second beside its 100 requests a second, and returns the last judgement.
func looping(perSecond int) analysis.Judgement {
	e := watch(ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01, OnInconclusive: ship.PromoteAnyway})
	clients := analysis.NewClients()
	var c analysis.Counts
	j := analysis.Judgement{Outcome: ship.Wait}
	for second := -10; second < 70 && !j.Ended(); second++ { // ten of them before the swap
		now := noon.Add(time.Duration(second) * time.Second)
		for i := range 100 + perSecond {
			loops := i >= 100
			client := netip.AddrFrom4([4]byte{10, 1, 0, byte(second*37 + i*2)})
			if loops {
				client = netip.MustParseAddr("192.0.2.7")
			}
			clients.Observe(client, now)
			if second < 0 {
				continue
			}
			c.Requests, c.Timed = c.Requests+1, c.Timed+1
			if loops {
				c.Errors, c.Slow = c.Errors+1, c.Slow+1
				if clients.Count(client, now) {
					c.Counted++
				}
				j = e.Observe(analysis.Sample{At: now, New: c, Crowd: clients.Crowd(now)})
			}
		}
	}
	return j
}

func TestA66OneClientInALoopAmongManyDoesNotTakeAReleaseBack(t *testing.T) {
	j := looping(15) // 1 050 errors in 70 seconds
	if j.Ended() || j.Healthy {
		t.Errorf("%s, healthy %v: %s", j.Outcome, j.Healthy, j.Reason)
	}
	j = looping(50) // a third of all requests: it might be the proxy in front of everybody
	wants(t, j, ship.Fail, analysis.RollBack, "Every error counts:", "clients in the last 10 s, the busiest with 3")
}

func TestA67ClientsThatGiveUpNeitherCountNorDilute(t *testing.T) {
	e := watch(ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01, P95: time.Second})
	e.Observe(at(1, counts(300, 0)))
	for i := range 100 { // a flood of 499 changes no counter
		wants(t, e.Observe(at(2+float64(i), counts(300, 0))), ship.Wait, analysis.Nothing, "0 of 300 requests failed")
	}
	wants(t, e.Observe(at(110, counts(310, 10))), ship.Fail, analysis.RollBack, "10 of 310 requests failed")
}

func TestA68ASharedOutageTakesNothingBackWhileTrafficIsSplit(t *testing.T) {
	brief := limits
	brief.For = 80 * time.Second
	sc := simulate.Scenario{
		Limits: brief, Rate: 100, Share: 0.5, Fails: 0.002, Old: 0.002,
		Outage: simulate.Outage{From: 20 * time.Second, For: 30 * time.Second, Fails: 0.3},
	}
	// The comparison may be wrong in one of twenty outages; it is far less.
	if back := runs(300, sc); len(back) > 3 {
		t.Errorf("%d of 300 runs were taken back: %s", len(back), back[0].Judgement.Reason)
	}
	sc.Outage.From = time.Hour
	sc.Fails = 0.1
	if back := runs(100, sc); len(back) < 100 {
		t.Errorf("%d of 100 bad releases were taken back", len(back))
	}
}

func TestA68ASharedOutageIsHeldAndTold(t *testing.T) {
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01}, Began: noon, New: "v42", Old: "v41", Asks: true})
	s := at(10, counts(100, 10))
	j := e.Observe(s)
	if wants(t, j, ship.Wait, analysis.Nothing); !j.Ask {
		t.Fatal("the old release is not asked whether going back would help")
	}
	s.At, s.Back = s.At.Add(50*time.Millisecond), analysis.Probes{Sent: 5, Failing: 5, Last: "status 503"}
	j = e.Observe(s)
	wants(t, j, ship.Wait, analysis.Nothing, "v41 fails as well (5 of 5 health checks, the last one: status 503)", "the cause is probably shared")
	if j.Alert == "" || j.Ask {
		t.Errorf("alert %q, ask %v", j.Alert, j.Ask)
	}
	// The outage is over for the old release, not for the new one.
	s.At, s.New = s.At.Add(10*time.Second), counts(120, 30)
	if j = e.Observe(s); !j.Ask {
		t.Fatalf("not asked again: %+v", j)
	}
	s.At, s.Back = s.At.Add(50*time.Millisecond), analysis.Probes{Sent: 10, Healthy: 5}
	wants(t, e.Observe(s), ship.Fail, analysis.RollBack, "30 of 120 requests failed")
}

func TestAnOldReleaseThatDoesNotAnswerInTimeKeepsNobodyFromGoingBack(t *testing.T) {
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01}, Began: noon, Asks: true})
	wants(t, e.Observe(at(10, counts(100, 10))), ship.Wait, analysis.Nothing)
	wants(t, e.Observe(at(11.9, counts(100, 10))), ship.Wait, analysis.Nothing)
	wants(t, e.Observe(at(12, counts(100, 10))), ship.Fail, analysis.RollBack)
}

func TestA69ProbesDoNotDiluteWhatUsersSee(t *testing.T) {
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01}, Began: noon, Probes: true})
	s := at(60, counts(10, 0))
	s.Probes = analysis.Probes{Sent: 100_000, Healthy: 100_000}
	j := e.Observe(s)
	if wants(t, j, ship.Wait, analysis.Nothing, "0 of 10 requests failed"); j.Healthy {
		t.Error("good probes prove the health of requests")
	}
	s.At, s.New = s.At.Add(time.Second), counts(14, 4)
	wants(t, e.Observe(s), ship.Fail, analysis.RollBack, "4 of 14 requests failed")
}

func TestA70AKnownBadURLOnBothReleasesTakesNothingBack(t *testing.T) {
	brief := limits
	brief.For = 80 * time.Second
	both := simulate.Scenario{Limits: brief, Rate: 100, Share: 0.5, Fails: 0.05, Old: 0.05}
	if back := runs(100, both); len(back) > 0 {
		t.Errorf("%d of 100 runs were taken back while traffic was split: %s", len(back), back[0].Judgement.Reason)
	}
	e := watch(ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01})
	clients := analysis.NewClients()
	for i := range 1000 {
		clients.Observe(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), noon)
	}
	bad := netip.MustParseAddr("192.0.2.7")
	c := counts(1000, 0)
	e.Observe(at(1, c))
	for i := range 200 {
		now := noon.Add(time.Second + time.Duration(i)*time.Millisecond)
		clients.Observe(bad, now)
		c.Requests, c.Timed, c.Errors, c.Slow = c.Requests+1, c.Timed+1, c.Errors+1, c.Slow+1
		if clients.Count(bad, now) {
			c.Counted++
		}
		wants(t, e.Observe(analysis.Sample{At: now, New: c, Crowd: clients.Crowd(now)}), ship.Wait, analysis.Nothing)
	}
	if c.Counted != 3 {
		t.Errorf("%d of 200 errors of one client in a crowd count, want 3", c.Counted)
	}
}
