// Package health asks web instances over HTTP whether they are well, and says
// in a sentence what to change when they are not. It knows nothing of how the
// instances are run.
package health
