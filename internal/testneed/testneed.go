// Package testneed gives tests the real things they need, or says that they
// are absent: a skip, or a failure when SHIPLOCK_TEST_REQUIRE=all.
package testneed

import (
	"os"
	"os/exec"
	"testing"
)

// Missing ends the test because what is absent: by a skip, or by a failure
// when SHIPLOCK_TEST_REQUIRE=all.
func Missing(t testing.TB, what, how string) {
	t.Helper()
	if os.Getenv("SHIPLOCK_TEST_REQUIRE") == "all" {
		t.Fatalf("needs %s, which is absent: %s", what, how)
	}
	t.Skipf("needs %s, which is absent: %s", what, how)
}

// Command returns the path of a program, which package pkg of Debian brings.
func Command(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, "apt-get install "+pkg)
	}
	return path
}
