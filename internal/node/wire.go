package node

import (
	"errors"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// The bodies of the API. A [platform.Spec] and a [platform.Command] hide their
// variables when they are encoded, as secrets must; the socket is the one way
// they may go, so they travel beside them, revealed.

type specBody struct {
	Spec platform.Spec     `json:"spec"`
	Vars map[string]string `json:"vars,omitempty"`
}

func newSpecBody(s platform.Spec) specBody { return specBody{s, reveal(s.Vars)} }

func (b specBody) spec() platform.Spec {
	s := b.Spec
	s.Vars = hide(b.Vars)
	return s
}

type runBody struct {
	specBody
	Command     platform.Command  `json:"command"`
	CommandVars map[string]string `json:"command_vars,omitempty"`
}

func (b runBody) command() platform.Command {
	c := b.Command
	c.Vars = hide(b.CommandVars)
	return c
}

type startBody struct {
	specBody
	Fence ship.Fence `json:"fence"`
	Slot  ship.Slot  `json:"slot"`
}

// fenceBody is the body of every change that needs nothing but one detail.
type fenceBody struct {
	Fence ship.Fence           `json:"fence"`
	TTL   time.Duration        `json:"ttl,omitempty"`
	Slot  ship.Slot            `json:"slot,omitempty"`
	Shift *platform.Shift      `json:"shift,omitempty"`
	Mode  *platform.ModeChange `json:"mode,omitempty"`
	Why   string               `json:"why,omitempty"`
	// Command is the name of one.
	Command string `json:"command,omitempty"`
}

// linkBody names an archive on this machine.
type linkBody struct {
	Path string `json:"path"`
}

func reveal(vars map[string]ship.Secret) map[string]string {
	if vars == nil {
		return nil
	}
	m := make(map[string]string, len(vars))
	for k, v := range vars {
		m[k] = v.Reveal()
	}
	return m
}

func hide(vars map[string]string) map[string]ship.Secret {
	if vars == nil {
		return nil
	}
	m := make(map[string]ship.Secret, len(vars))
	for k, v := range vars {
		m[k] = ship.NewSecret(v)
	}
	return m
}

// errorBody is the body of every answer that is not a success.
type errorBody struct {
	Kind    ship.Kind `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
}

func newErrorBody(err error) errorBody {
	return errorBody{Kind: ship.KindOf(err), Message: err.Error(), Hint: ship.HintOf(err)}
}

func (b errorBody) err() error {
	return &ship.Error{Kind: b.Kind, Hint: b.Hint, Err: errors.New(b.Message)}
}
