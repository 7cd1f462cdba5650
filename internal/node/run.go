package node

import "context"

// Run is the life of a node. It returns when ctx ends or the node was asked to
// shut down.
func Run(ctx context.Context, o Options) error { <-ctx.Done(); return nil }

// RunJob is the life of the process that looks after one command.
func RunJob(ctx context.Context, dir string) int { return 1 }
