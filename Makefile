# Every target sets up what it needs, Debian packages included; what takes long says how long, and is kept for the next time.
.DEFAULT_GOAL := help
.PHONY: help setup node build test test-fmt test-lint test-unit test-cluster test-demo test-main test-kustomize soak-fuzz image demo demo-context fmt lint clean
SHELL := /bin/bash

CARGO ?= cargo
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
export CARGO_TERM_COLOR ?= auto

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the Debian packages that the node, the tests and the demo need
	@tests/cluster/packages.sh

node: setup ## compile the programs of the tests' Kubernetes node (8 minutes, once)
	@tests/cluster/build.sh >/dev/null

build: setup ## the agent's and the demo's release binaries (10 minutes cold)
	@$(CARGO) build --release --bins

test: setup test-fmt test-lint test-unit test-cluster test-demo ## every check

test-fmt:
	$(CARGO) fmt --check

test-lint:
	$(CARGO) clippy --all-targets -- -D warnings

test-unit: ## unit, property and snapshot tests
	$(CARGO) test --lib --bins

test-cluster: ## integration tests, on a real node of their own; TEST=name for some of them
	@tests/cluster/with-node.sh $(CARGO) test --test it -- $(TEST)

test-demo: ## the demo's scenes without an agent: every one of them must fail
	@demo/run --without-agent

demo-context: ## the demo on a cluster, a registry and a Git server that it is given: those of a second node
	@demo/on-another-node

test-main: ## the main job's figures as a table, in target/test-main.txt: pushes, renders, 100 drifts (10 minutes)
	@rm -f target/test-main.txt
	@DRIFTLESS_LONG=1 DEMAND_NODE=1 tests/cluster/with-node.sh $(CARGO) test --release --test it -- --test-threads=1 main_job::figures; \
	  status=$$?; cat target/test-main.txt; exit $$status

test-kustomize: build ## how many renders are the same as kustomize's, on the corpus in CONFORMANCE
	@test -n "$(CONFORMANCE)" || { echo "CONFORMANCE=path/to/kustomize.py make test-kustomize"; exit 2; }
	@python3 $(CONFORMANCE) -- $(RELEASE)/driftless render

soak-fuzz: ## fuzz the YAML reader, the patches and the whole engine: FUZZ_SECONDS=1800 each (nightly Rust)
	@fuzz/run

image: build ## the agent's image, pushed to REGISTRY (host/path), or into the node that STATE names
	@push=$(if $(REGISTRY),tests/cluster/image.sh,"tests/cluster/node.sh image"); \
	$$push $(if $(REGISTRY),$(REGISTRY)/)driftless:$(TAG) $(RELEASE)/driftless /etc/ssl/certs/ca-certificates.crt

demo: ## the main job, live, on a node of its own (90 s, when everything is cached); KEEP=1 leaves it running
	@demo/run

fmt: ## format the code
	@$(CARGO) fmt

lint: test-fmt test-lint ## rustfmt and clippy

clean: ## remove what cargo built; the node's programs stay in ~/.cache/driftless
	@$(CARGO) clean
