# The targets that people and the checks of a submission share. `make` lists them.

# The tools have a module file of their own, so that what a linter needs is no
# dependency of the program.
TOOL := go tool -modfile=tools/go.mod
# Packages are tested side by side; more than one for each core only makes
# tests with real servers wait for each other.
PARALLEL ?= 2
# Within a package more go on at once: those of the program as a whole wait for
# their processes most of the time.
WITHIN ?= 4
TIMEOUT ?= 40m

.DEFAULT_GOAL := help
.PHONY: help build fmt check format-check vet arch setup test lint vuln matrix bench demo update

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/shiplock, without cgo
	CGO_ENABLED=0 go build -trimpath -o bin/shiplock ./cmd/shiplock

fmt: ## format as the linters want it
	$(TOOL) golangci-lint fmt

check: format-check vet arch test ## everything a submission must pass

format-check:
	@unformatted="$$(gofmt -l cmd internal e2e examples)"; if [ -n "$$unformatted" ]; then \
		echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...
	go mod verify

arch: ## the rules of docs/architecture.md, in seconds
	go test ./internal/arch

setup: ## install what the tests need, where it is missing
	@scripts/test-setup

test: setup ## every test, with the race detector
	go test -race -shuffle=on -p $(PARALLEL) -parallel $(WITHIN) -timeout $(TIMEOUT) ./...

lint: ## golangci-lint and staticcheck; builds them the first time, which takes minutes
	$(TOOL) golangci-lint run
	$(TOOL) staticcheck ./...

vuln: ## known vulnerabilities in what is linked; needs the network
	@$(TOOL) govulncheck ./... || echo "govulncheck did not succeed: read above whether it found something or could not reach its database"

BENCHES ?= proxy connections swap deploy verdict backfill load
matrix: ## every fault at every moment of every step, most of an hour; writes docs/crash-matrix.md
	SHIPLOCK_MATRIX=all go test ./e2e -run 'TestCrashMatrix$$' -count=1 -v -timeout 90m

bench: ## every benchmark beside its peers, into bench/results and docs/benchmarks.md
	@for b in $(BENCHES); do echo "== bench/$$b"; go run ./bench/$$b -keep bench/results || exit 1; done
	go run ./bench/page

demo: build ## a deployment, a failure and a rollback, in under a minute
	./bin/shiplock demo

update: ## rewrite docs/deps.txt from what is linked
	go test ./internal/arch -update
