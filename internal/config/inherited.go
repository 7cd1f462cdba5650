package config

import "os"

// Inherited returns our whole environment, for the one case in which we become
// the application: a container or a hosted slot has put its settings there.
func Inherited() []string { return os.Environ() }
