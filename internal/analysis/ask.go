package analysis

import (
	"fmt"
	"strings"
	"time"
)

const (
	askFor   = 5 // health checks of the old release
	askUntil = 2 * time.Second
	askAgain = 5 * time.Second
)

// asking is a line that was crossed, while the old release is asked whether
// going back would help.
type asking struct {
	At   time.Time `json:"at"`
	Back Probes    `json:"back"` // before
}

// crossedAt asks the old release, when that is possible, before traffic goes
// back to it: when it fails as well, going back would help nobody.
func (e *Evaluator) crossedAt(j Judgement, s Sample, k kind) Judgement {
	why := strings.TrimSuffix(e.sentence(k, s), ".")
	if !e.cfg.Asks || e.cfg.NoWayBack != "" || s.split() {
		return e.against(j, k.String(), why)
	}
	j.Until, j.Reason = e.until(), why
	if s.At.Before(e.st.NextAsk) {
		return e.sharedWait(j)
	}
	if e.st.Asking == nil {
		e.st.Asking = &asking{At: s.At, Back: s.Back}
		e.moment(s.At, "the line is crossed: "+e.soFar(s)+"; "+e.oldName()+" is asked whether going back would help")
	}
	asked := s.Back.Sent - e.st.Asking.Back.Sent
	good := s.Back.Healthy - e.st.Asking.Back.Healthy
	switch {
	case asked < askFor && s.At.Sub(e.st.Asking.At) < askUntil:
		j.Ask = true
		return j
	case asked < askFor || 2*good >= asked:
		return e.against(j, k.String(), why)
	}
	e.shared(s, fmt.Sprintf("%s; %s fails as well (%d of %d health checks, the last one: %s), so that going back would not help: the cause is probably shared",
		why, e.oldName(), asked-good, asked, s.Back.Last))
	return e.sharedWait(j)
}

// shared puts the evidence down to a cause that both releases have, and begins
// to collect anew with a stricter line.
func (e *Evaluator) shared(s Sample, why string) {
	e.st.Alert, e.st.Asking = why, nil
	e.st.NextAsk = s.At.Add(askAgain)
	e.reset()
	e.moment(s.At, why)
}

func (e *Evaluator) reset() {
	e.st.Resets++
	for k := range e.st.Streams {
		e.st.Streams[k] = stream{}
	}
}

func (e *Evaluator) sharedWait(j Judgement) Judgement {
	j.Alert = e.st.Alert
	j.Reason = e.st.Alert
	return j
}
