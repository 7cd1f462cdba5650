package pipeline

import (
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Facts are what is known of the environment a wish is for, and of the one it
// comes after.
type Facts struct {
	Now   time.Time
	Lock  *ship.Lock
	Here  History
	Below History // empty where it comes after none
}

// A History is what has served an environment, newest first, and the run that
// has it now.
type History struct {
	Deployed []ship.Deployed
	Open     *ship.Run
}

// A Decision says whether a run may begin: now ([ship.Pass]), later, by itself
// ([ship.Wait]), or not at all ([ship.Fail]).
type Decision struct {
	Outcome ship.Outcome `json:"outcome"`
	Kind    ship.Kind    `json:"kind,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Next    string       `json:"next,omitempty"` // command to type
	Until   time.Time    `json:"until,omitzero"` // it waits until then if nothing else happens; zero is not known
	Held    bool         `json:"held,omitempty"` // it waits for nothing but the run that has the environment
}

// Err returns the refusal of a wish that may not begin now, nil for one that may.
func (d Decision) Err() error {
	if d.Outcome == ship.Pass {
		return nil
	}
	return ship.Errorf(d.Kind, d.Next, "%s", d.Reason)
}

func begins() Decision { return Decision{Outcome: ship.Pass} }

// Decide judges a wish: what can never be is refused before anything is waited
// for. The way back is never barred: only another run has to be waited for.
func Decide(wish ship.Request, f Facts) Decision {
	first := begins()
	for _, rule := range []func(ship.Request, Facts) Decision{promotable, unlocked, thawed, soaked, alone} {
		d := rule(wish, f)
		if d.Outcome == ship.Fail {
			return d
		}
		if first.Outcome == ship.Pass {
			first = d
		}
	}
	return first
}

// goesBack tells whether a wish leads back to what was.
func goesBack(wish ship.Request) bool {
	return wish.Verb == ship.VerbRollback || wish.Options.Down != ""
}

// comes tells whether a wish brings a release to an environment.
func comes(wish ship.Request) bool {
	return wish.Verb != ship.VerbRollback && wish.Options.Down == "" && wish.Options.Backfill == "" && !wish.Options.Contract
}

// promotable refuses what was not proven in the environment before, and a
// promotion of what is there already.
func promotable(wish ship.Request, f Facts) Decision {
	env, v := wish.Environment, wish.Release.Number
	if env.After == "" || !comes(wish) {
		return begins()
	}
	if wish.From != "" && len(f.Here.Deployed) > 0 && f.Here.Deployed[0].Release == v {
		return no(fmt.Sprintf("shiplock deploy %s --release v%d", env.ID.Name, v), "%s has v%d already", env.ID.Name, v)
	}
	if stay, ok := Served(f.Here.Deployed, v); wish.Auto && ok && stay.TakenBack {
		return no(fmt.Sprintf("shiplock promote %s --release v%d", env.ID.Name, v), "v%d was taken back in %s by run %s: it does not come again by itself", v, env.ID.Name, stay.By)
	}
	stay, ok := Served(f.Below.Deployed, v)
	if open := f.Below.Open; !ok && open != nil && open.Request.Release.Number == v {
		return later("shiplock watch "+open.ID, time.Time{}, "v%d is not through in %s: run %s is %s", v, env.After, open.ID, open.Status)
	}
	switch {
	case !ok:
		return no(fmt.Sprintf("shiplock deploy %s --release v%d", env.After, v), "v%d has not served %s, which %s comes after", v, env.After, env.ID.Name)
	case stay.TakenBack:
		return no("shiplock explain "+stay.By, "v%d was taken back in %s at %s, by run %s", v, env.After, clock(stay.To), stay.By)
	}
	return begins()
}

// soaked wants a release to have served the environment before for long enough.
func soaked(wish ship.Request, f Facts) Decision {
	env, v := wish.Environment, wish.Release.Number
	if env.After == "" || env.Soak <= 0 || !comes(wish) {
		return begins()
	}
	stay, _ := Served(f.Below.Deployed, v)
	long := stay.Long(f.Now)
	switch {
	case long >= env.Soak:
		return begins()
	case !stay.To.IsZero():
		return no(fmt.Sprintf("shiplock deploy %s --release v%d", env.After, v), "v%d served %s for %s only, before v%d came; %s wants %s",
			v, env.After, length(long), stay.Instead, env.ID.Name, length(env.Soak))
	}
	at := stay.From.Add(env.Soak)
	return later("wait until then"+orQueue(wish), at, "v%d has served %s since %s, %s wants %s: until %s",
		v, env.After, clock(stay.From), env.ID.Name, length(env.Soak), clock(at))
}

// unlocked heeds the lock.
func unlocked(wish ship.Request, f Facts) Decision {
	l := f.Lock
	if l == nil || goesBack(wish) {
		return begins()
	}
	until := ""
	if !l.Until.IsZero() {
		until = " until " + clock(l.Until)
	}
	name := wish.Environment.ID.Name
	return later("ask "+l.By+"; or: shiplock unlock "+name, l.Until, "%s is locked%s by %s: %s", name, until, l.By, l.Reason)
}

// thawed heeds the freezes.
func thawed(wish ship.Request, f Facts) Decision {
	held := FrozenAt(wish.Environment.Freeze, f.Now)
	if held == nil || goesBack(wish) {
		return begins()
	}
	name := wish.Environment.ID.Name
	if held.Until.IsZero() {
		return later("shiplock config check", held.Until, "%s is frozen: %s", name, held.Reason)
	}
	return later("wait until then"+orQueue(wish)+"; a rollback is allowed", held.Until, "%s is frozen until %s: %s", name, clock(held.Until), held.Reason)
}

// orQueue names the other way of waiting, where there is one.
func orQueue(wish ship.Request) string {
	if !MayWait(wish) {
		return ""
	}
	return ", or have it wait: --queue"
}

// alone wants no other run to have the environment.
func alone(wish ship.Request, f Facts) Decision {
	open := f.Here.Open
	if open == nil {
		return begins()
	}
	hint := "shiplock watch " + open.ID
	if open.Status == ship.Paused {
		hint = "shiplock explain " + open.ID
	}
	d := later(hint, time.Time{}, "%s is held by run %s (%s v%d, %s, by %s)", wish.Environment.ID.Name, open.ID, open.Request.Word(), open.Request.Release.Number, open.Status, open.Request.By)
	d.Held = true
	return d
}

func no(next, format string, args ...any) Decision {
	return Decision{Outcome: ship.Fail, Kind: ship.Refused, Next: next, Reason: fmt.Sprintf(format, args...)}
}

func later(next string, until time.Time, format string, args ...any) Decision {
	return Decision{Outcome: ship.Wait, Kind: ship.Locked, Next: next, Until: until, Reason: fmt.Sprintf(format, args...)}
}

func clock(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// length writes a length of time as people do: 30m, not 30m0s.
func length(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
