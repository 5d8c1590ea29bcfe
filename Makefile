# birdhouse. `make demo` shows it working, `make test` runs every test; both
# install what they need on a Debian machine. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

# One set of flags for everything that is compiled, the tools too: packages are
# then compiled once and shared through Go's build cache.
# grpcnotrace: gRPC's tracing pages link a template engine whose reflection keeps
# every method of every type alive, a quarter of the frontend's size.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false -tags=grpcnotrace
LDFLAGS := -s -w -buildid=

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
HOST_ARCH := $(shell go env GOARCH 2>/dev/null)
ARCHES := amd64 arm64

BIN := .tools/bin
STEPS := $(ARCHES:%=steps/embedded/bin/steps_linux_%)
FRONTENDS := $(ARCHES:%=dist/linux_%/frontend)
FRONTEND_STEPS := $(ARCHES:%=dist/linux_%/steps)
FRONTEND_SOURCE := cmd/birdhouse/internal/publish/source/frontend.tar.gz
DIST := dist/birdhouse $(FRONTENDS) $(FRONTEND_STEPS) dist/catalog.lock

# What is compiled: every file that is no test, embedded ones included.
sources = $(shell find $(1) -type f -not -name '*_test.go' -not -path '*/testdata/*' \
	-not -path 'steps/embedded/bin/*' -not -path '$(FRONTEND_SOURCE)' 2>/dev/null)
PACKAGES := catalog cmd container engine frontend image internal langs llb steps
SOURCES := go.mod go.sum $(call sources,$(PACKAGES))

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# --- building ---------------------------------------------------------------

.PHONY: build
build: $(DIST) ## the command and what the frontend image is made of, in dist/

# The version is an input like a file: what carries it is built anew when it
# changes, and only then.
dist/version: FORCE
	@mkdir -p dist
	@printf '%s\n' '$(VERSION)' | cmp -s - $@ || printf '%s\n' '$(VERSION)' > $@
.PHONY: FORCE

# Without inlining they are a tenth smaller, compressed. What unpacks packages keeps
# it: that is where their time goes.
SMALL := -gcflags=all=-l $(foreach p,github.com/mikelolasagasti/xz/... github.com/ulikunitz/xz/... hash/... bufio io bytes,-gcflags=$(p)=)

# The steps carry no version: their bytes are part of cache keys and change only
# when a step does.
steps/embedded/bin/steps_linux_%: go.mod go.sum $(call sources,steps cmd/steps)
	GOOS=linux GOARCH=$* go build $(SMALL) -ldflags '$(LDFLAGS)' -o $@ ./cmd/steps

dist/linux_%/steps: steps/embedded/bin/steps_linux_%
	@mkdir -p $(@D)
	cp $< $@

dist/linux_%/frontend: $(SOURCES) dist/version
	GOOS=linux GOARCH=$* go build -gcflags=all=-l -ldflags '$(LDFLAGS) -X main.version=$(VERSION)' -o $@ ./cmd/frontend

dist/catalog.lock: catalog/catalog.lock
	@mkdir -p $(@D)
	cp $< $@

# What the frontend is built from, for a command that builds it where there is no
# source: this module's files of its packages, whatever the architecture.
$(FRONTEND_SOURCE): $(SOURCES) birdhouse.yaml
	@{ printf '%s\n' go.mod go.sum birdhouse.yaml; \
		for arch in $(ARCHES); do GOOS=linux GOARCH=$$arch go list -deps -f '{{with .Module}}{{if .Main}}{{range $$.GoFiles}}{{$$.Dir}}/{{.}}{{"\n"}}{{end}}{{range $$.SFiles}}{{$$.Dir}}/{{.}}{{"\n"}}{{end}}{{range $$.EmbedFiles}}{{$$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}' ./cmd/frontend; done \
		| sed -n 's|^$(CURDIR)/||p' | LC_ALL=C sort -u; } \
		| tar --create --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 --files-from=- | gzip -n -9 > $@.new
	@mv $@.new $@

dist/birdhouse: $(SOURCES) $(STEPS) $(FRONTEND_SOURCE) dist/version
	go build -ldflags '$(LDFLAGS) -X main.version=$(VERSION)' -o $@ ./cmd/birdhouse

# For example: make frontend-image IMAGE=localhost:5000/birdhouse:1 BUILDKIT_HOST=unix:///run/buildkit/buildkitd.sock
# CATALOG=DIR takes catalog.lock from DIR instead of the tree.
.PHONY: frontend-image
frontend-image: build $(BIN)/buildctl ## builds and pushes the frontend image IMAGE with the BuildKit at BUILDKIT_HOST
	@[ -n "$${IMAGE:-}" ] || { echo 'name the image: make frontend-image IMAGE=registry.example.com/birdhouse:1' >&2; exit 1; }
	$(BIN)/buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=. \
		--opt platform=$${PLATFORMS:-linux/amd64,linux/arm64} --opt build-arg:SOURCE_DATE_EPOCH=0 \
		$(if $(CATALOG),--opt context:catalog=local:catalog --local catalog=$(CATALOG)) \
		--output type=image,name=$$IMAGE,push=true,rewrite-timestamp=true

.PHONY: clean
clean: ## removes what was built; tools stay
	rm -rf dist steps/embedded/bin/steps_linux_*

# --- showing ----------------------------------------------------------------

.PHONY: demo
demo: setup-run build ## builds testdata/go/hello with no daemon, starts it and shows its answer and size
	tools/demo.sh

# --- tools ------------------------------------------------------------------

# Each tool is pinned by a module of its own, so that its dependencies do not
# become ours. buildkitd and buildctl cannot be had by `go install pkg@version`.
.PHONY: tools
tools: setup $(BIN)/buildkitd $(BIN)/buildctl $(BIN)/buildx $(BIN)/staticcheck $(BIN)/gotestsum ## everything the tests need

tool = cd tools/$(1) && go build -ldflags '-s -w' -o $(CURDIR)/$@ $(2)

$(BIN)/buildkitd: tools/buildkit/go.mod tools/buildkit/go.sum
	$(call tool,buildkit,github.com/moby/buildkit/cmd/buildkitd)
$(BIN)/buildctl: tools/buildkit/go.mod tools/buildkit/go.sum
	$(call tool,buildkit,github.com/moby/buildkit/cmd/buildctl)
$(BIN)/buildx: tools/buildx/go.mod tools/buildx/go.sum
	$(call tool,buildx,github.com/docker/buildx/cmd/buildx)
$(BIN)/ko: tools/ko/go.mod tools/ko/go.sum
	$(call tool,ko,github.com/google/ko)
$(BIN)/staticcheck: tools/lint/go.mod tools/lint/go.sum
	$(call tool,lint,honnef.co/go/tools/cmd/staticcheck)
$(BIN)/gotestsum: tools/lint/go.mod tools/lint/go.sum
	$(call tool,lint,gotest.tools/gotestsum)

.PHONY: setup setup-run setup-unit
setup: ## installs the Debian packages that the tests need
	@tools/setup.sh test
setup-run:
	@tools/setup.sh run
setup-unit:
	@tools/setup.sh unit

# --- checking ---------------------------------------------------------------

# Tests with real engines keep their state below TMPDIR, some gigabytes each; -p
# bounds how many packages do so at once. One more than the cores of a small machine:
# they wait for servers and locks as well. The longest begin first, so that none of
# them is left alone at the end.
LONGEST := $(addprefix ./internal/e2e,/java /catalog /golang / /node /python)
.PHONY: test
test: setup build lint check-generated test-race tools ## everything: lint, unit tests with -race, real engines and clients
	$(BIN)/gotestsum --format pkgname-and-test-fails --hide-summary=skipped -- -p 3 -vet=off -timeout 60m $(LONGEST) ./...
	@echo 'PASS: lint, generated files, unit tests with the race detector, tests with real engines and clients'

.PHONY: test-short
test-short: $(STEPS) ## unit tests: seconds, no root, no network
	go test -short ./...

.PHONY: test-race
test-race: setup-unit $(STEPS) $(BIN)/gotestsum
	CGO_ENABLED=1 $(BIN)/gotestsum --format pkgname --hide-summary=skipped -- -race -short -vet=off $$(go list ./... | grep -v /internal/e2e)

.PHONY: lint
lint: setup-unit $(STEPS) $(BIN)/staticcheck ## gofmt, go vet, staticcheck
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' ':!:**/vendor/**' | xargs -r gofmt -l); \
		[ -z "$$unformatted" ] || { echo "not formatted, run gofmt -w on: $$unformatted" >&2; exit 1; }
	go vet ./...
	go vet -tags grpcnotrace,bench ./bench
	$(BIN)/staticcheck -tags grpcnotrace,bench ./...

# Generated files, and the command that writes each to standard output.
GENERATED := docs/schema.json docs/descriptor.md docs/sizes.md
generate-docs/schema.json = dist/birdhouse schema
generate-docs/descriptor.md = dist/birdhouse schema --format markdown
generate-docs/sizes.md = dist/birdhouse catalog list --format markdown

.PHONY: generate
generate: dist/birdhouse ## writes the generated files anew
	@$(foreach f,$(GENERATED),mkdir -p $(dir $f); $(generate-$f) > $f.new; mv $f.new $f;)

.PHONY: sizes
sizes: dist/birdhouse ## builds all base images, or IMAGES, notes how large they are, and writes docs/sizes.md
	dist/birdhouse catalog measure $(IMAGES) --write catalog/sizes/sizes.json
	$(MAKE) generate

.PHONY: check-generated
check-generated: dist/birdhouse
	@$(foreach f,$(GENERATED),$(generate-$f) | cmp - $f || { echo '$f is out of date: run make generate' >&2; exit 1; };)

.PHONY: bench
bench: tools $(BIN)/ko build ## side by side with Dockerfiles and with ko, LANGUAGE alone or all; writes docs/bench.md
	go test -tags grpcnotrace,bench -count 1 -timeout 4h -v ./bench -out docs/bench.md $(if $(LANGUAGE),-language $(LANGUAGE))
