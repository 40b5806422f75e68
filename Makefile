# The few commands of everyday work. .ci/run is what must hold of every commit on main.

.PHONY: help test proofs lint bench demo

help: ## print this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

test: ## every test, each with a small default: about two and a half minutes on two cores, longer the first time
	go test ./...

proofs: ## everything .ci/run holds a commit to, the long proofs among it
	.ci/run

lint: ## formatting, vet, and the linter that .ci/run installs
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	go vet ./...
	"$${PLUGBEAT_TOOLS:-$$HOME/.cache/plugbeat-tools}/golangci-lint" run ./...

bench: ## the benchmark of docs/dev/performance.md
	go run ./tools/bench

demo: ## the whole job on a simulated fleet, in a minute
	go run . demo
