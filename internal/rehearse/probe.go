package rehearse

import (
	"context"
	"errors"

	"github.com/shiplock/shiplock/internal/database"
)

// mostProbes bounds how many statements are tried.
const mostProbes = 6000

// A probe is what the running release may send.
type probe struct {
	kind, table string
	statements  []string // tried in one transaction that is taken back; the last is what counts
	kept        bool     // prepared before a migration and executed after it
	parsed      bool     // it is known without its values: only prepared anew
	reads       bool     // rows it found before have to be found after

	rows    int64
	execute string // of a kept one, in the session that is open
}

func (p *probe) shown() string {
	last := p.statements[len(p.statements)-1]
	if p.kept {
		return "PREPARE … AS " + last + "; EXECUTE"
	}
	return last
}

// works tells whether the probe succeeds before anything was changed. Only
// what is no answer of the database is an error.
func (p *probe) works(ctx context.Context, s database.Session) (bool, error) {
	if p.kept || p.parsed {
		err := p.prepare(ctx, s)
		if errors.Is(err, errors.ErrUnsupported) {
			return false, nil
		}
		if err != nil || p.parsed {
			return worked(err)
		}
	}
	var err error
	p.rows, err = s.Try(ctx, false, p.tried()...)
	return worked(err)
}

// worked tells a refusal of the database from a failure to ask it.
func worked(err error) (bool, error) {
	if _, no := errors.AsType[*database.Refused](err); no {
		return false, nil
	}
	return err == nil, err
}

func (p *probe) prepare(ctx context.Context, s database.Session) (err error) {
	p.execute, err = s.Prepare(ctx, p.statements[len(p.statements)-1])
	return err
}

// prepareKept prepares what has to be in the session when a migration runs. A
// statement that an earlier migration broke is not among the probes any more.
func (p *probe) prepareKept(ctx context.Context, s database.Session) error {
	if !p.kept {
		return nil
	}
	if err := p.prepare(ctx, s); err != nil {
		return err
	}
	_, err := s.Try(ctx, false, p.execute) // the plan is made with the first call
	return err
}

func (p *probe) tried() []string {
	if p.kept {
		return []string{p.execute}
	}
	return p.statements
}

// again tries the probe after a migration and returns the database's no.
func (p *probe) again(ctx context.Context, s database.Session) (*database.Refused, error) {
	var rows int64
	var err error
	if p.parsed {
		rows, err = p.rows, p.prepare(ctx, s)
	} else {
		rows, err = s.Try(ctx, false, p.tried()...)
	}
	if refusal, no := errors.AsType[*database.Refused](err); no {
		return refusal, nil
	}
	if err == nil && p.reads && p.rows > 0 && rows == 0 {
		return &database.Refused{Message: "it found rows before and finds none now"}, nil
	}
	return nil, err
}
