package pipeline

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/ship"
)

// Supersedes tells whether a wish ends the one that waits for the same
// environment. The newest wins: what waits is a deployment, and a newer one, or
// a way back, leaves nothing for it to do.
func Supersedes(newer ship.Request) bool {
	return newer.Verb == ship.VerbDeploy || newer.Verb == ship.VerbRollback
}

// MayWait tells whether a wish can wait in the queue.
func MayWait(wish ship.Request) bool { return wish.Verb == ship.VerbDeploy }

// Followers returns the promotions that a run which passed leads to, by
// themselves: one for each environment that comes directly after its own.
func Followers(passed ship.Run) []ship.Request {
	if passed.Status != ship.Passed || passed.Request.Verb != ship.VerbDeploy {
		return nil
	}
	here := passed.Request.Environment.ID
	var all []ship.Request
	for _, env := range passed.Request.Next {
		if env.After != here.Name || env.ID.App != here.App || !env.Auto {
			continue
		}
		all = append(all, ship.Request{
			Verb: ship.VerbDeploy, Environment: env, Release: passed.Request.Release, By: passed.Request.By,
			Reason: fmt.Sprintf("passed in %s as run %s", here.Name, passed.ID),
			Key:    fmt.Sprintf("%s passed, %s follows", passed.ID, env.ID.Name),
			From:   here.Name, Auto: true, Next: passed.Request.Next,
		})
	}
	return all
}
