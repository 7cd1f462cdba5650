// Package pipeline knows the order of environments and when one takes a
// release: whether it has served long enough in the one before, what a freeze
// is, who waits for whom in a queue, and what changed from one release to the
// next. It is pure: it is handed facts and the time, and says what follows. It
// refuses to know where facts are kept, how a run is carried out, and whom to
// tell.
package pipeline
