// Package arch tests the shape of the code. The tables in docs/architecture.md
// are the law; the tests read them and say, one sentence each, where the code
// is against it. It knows nothing of what the code does.
package arch
