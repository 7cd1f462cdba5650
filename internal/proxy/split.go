package proxy

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Split sends a part of an environment's requests to a second slot, while
// the rest goes to the active one. Both slots count for themselves. Held
// requests, the maintenance page and health requests know nothing of it.
type Split struct {
	To      ship.Slot `json:"to"`      // listed, and not the active slot
	Percent float64   `json:"percent"` // of the requests that To gets, in steps of 0.01; 0 is no split
	// Cookie is the name of a cookie that keeps a client with the release it
	// met, as long as the percentage allows it: who has met the second slot
	// stays there while the percentage grows. "" draws for every request anew.
	Cookie string        `json:"cookie,omitempty"`
	For    time.Duration `json:"for,omitempty"` // the cookie's age; 0 is an hour
}

const (
	draws           = 10000 // a client's draw is below
	defaultStickFor = time.Hour
)

// A split is a compiled Split. It never changes.
type split struct {
	Split
	to    *target
	below int // draws below this go to To
	salt  int // so that each release meets other clients first
}

// checkSplit refuses what could not be routed.
func checkSplit(e Environment) error {
	s := e.Split
	if s == nil || s.Percent == 0 {
		return nil
	}
	_, listed := e.Slots[s.To]
	switch {
	case !listed || s.To == e.Active || e.Active == "":
		return ship.Errorf(ship.Invalid, "", "environment %s: traffic of slot %q cannot be split with slot %q", e.ID, e.Active, s.To)
	case !(s.Percent > 0 && s.Percent <= 100):
		return ship.Errorf(ship.Invalid, "", "environment %s: %v percent of the traffic cannot go to slot %s", e.ID, s.Percent, s.To)
	case s.Cookie != "" && (&http.Cookie{Name: s.Cookie, Value: "1"}).Valid() != nil:
		return ship.Errorf(ship.Invalid, "", "environment %s: %q is no name of a cookie", e.ID, s.Cookie)
	}
	return nil
}

func newSplit(s Split, to *target) *split {
	if s.For <= 0 {
		s.For = defaultStickFor
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(to.name))
	return &split{Split: s, to: to, below: max(int(s.Percent*draws/100+0.5), 1), salt: int(hash.Sum32() % draws)}
}

// choose returns the target that r goes to, and notes the client's draw.
func (env *environment) choose(ex *exchange) *target {
	s := env.split
	if s == nil {
		return env.active
	}
	if ex.draw == nil {
		ex.draw = s.drawOf(ex.in)
	}
	if (ex.draw.number+s.salt)%draws < s.below {
		return s.to
	}
	return env.active
}

// partner returns the other side of a split, for requests that t refused.
func (env *environment) partner(t *target) *target {
	switch {
	case env.split == nil:
		return nil
	case t == env.split.to:
		return env.active
	}
	return env.split.to
}

// takers returns the targets that new requests may come to.
func (env *environment) takers() []*target {
	all := []*target{env.active}
	if env.split != nil {
		all = append(all, env.split.to)
	}
	return all
}

// takes tells whether new requests may come to g.
func (env *environment) takes(g *generation) bool {
	return env.active != nil && env.active.generation == g || env.split != nil && env.split.to.generation == g
}

// A draw is the number by which a request of a client is sent to one of two
// releases.
type draw struct {
	number int
	kept   bool // the client brought it
}

// drawOf returns the number the client brought, or a new one. A client that
// makes one up chooses its release, which it could also do by asking again.
func (s *split) drawOf(r *http.Request) *draw {
	if s.Cookie != "" {
		for _, c := range r.CookiesNamed(s.Cookie) {
			if n, err := strconv.Atoi(c.Value); err == nil && n >= 0 && n < draws {
				return &draw{n, true}
			}
		}
	}
	return &draw{number: rand.IntN(draws)}
}

// keep has the client bring its draw again. An answer that other clients may
// get from a cache on the way carries no cookie.
func (s *split) keep(ex *exchange, h http.Header) {
	if s == nil || s.Cookie == "" || ex.draw == nil || ex.draw.kept || isShared(h) {
		return
	}
	c := http.Cookie{
		Name: s.Cookie, Value: strconv.Itoa(ex.draw.number), Path: "/", MaxAge: int(s.For.Seconds()),
		HttpOnly: true, Secure: ex.in.TLS != nil, SameSite: http.SameSiteLaxMode,
	}
	h.Add("Set-Cookie", c.String())
}

// hide keeps our cookie from the application, whose business it is not.
func (s *split) hide(out *http.Request) {
	if s == nil || s.Cookie == "" || len(out.CookiesNamed(s.Cookie)) == 0 {
		return
	}
	all := strings.Split(strings.Join(out.Header.Values("Cookie"), ";"), ";")
	var others []string
	for _, c := range all {
		if name, _, _ := strings.Cut(strings.TrimSpace(c), "="); name != s.Cookie {
			others = append(others, strings.TrimSpace(c))
		}
	}
	out.Header.Del("Cookie")
	if len(others) > 0 {
		out.Header.Set("Cookie", strings.Join(others, "; "))
	}
}

// isShared tells whether an answer may be kept for more than one client.
func isShared(h http.Header) bool {
	for _, v := range h.Values("Cache-Control") {
		v = strings.ToLower(v)
		if strings.Contains(v, "public") || strings.Contains(v, "s-maxage") {
			return true
		}
	}
	return false
}
