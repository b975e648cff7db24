# Every target sets up what it needs, Debian packages included; what takes long says how long, and is kept for the next time.
.DEFAULT_GOAL := help
.PHONY: help setup node build test test-fmt test-lint test-unit test-cluster test-demo test-main test-rollouts test-histories test-kustomize bench image demo demo-context fmt lint clean soak-kustomize soak-faults soak-fuzz
SHELL := /bin/bash

CARGO ?= cargo
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
KUSTOMIZE ?= $(HOME)/.cache/driftless/testcluster/kustomize
HISTORIES ?= 100000
# They wait for the node more than they work.
TEST_THREADS ?= $(shell echo $$(($$(nproc) + 1)))
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
	@tests/cluster/with-node.sh $(CARGO) test --test it -- --test-threads $(TEST_THREADS) $(TEST)

test-demo: ## the demo's scenes without an agent: every one of them must fail
	@demo/run --without-agent

demo-context: ## the demo on a cluster, a registry and a Git server that it is given: those of a second node
	@demo/on-another-node

test-main: ## the main job's figures as a table, in target/test-main.txt: pushes, renders, 100 drifts (10 minutes)
	@rm -f target/test-main.txt
	@DRIFTLESS_LONG=1 DEMAND_NODE=1 tests/cluster/with-node.sh $(CARGO) test --release --test it -- --test-threads=1 main_job::figures; \
	  status=$$?; cat target/test-main.txt; exit $$status

test-rollouts: ## rollouts under load, also through Traefik (built once, 5 minutes), and their figures as a table, in target/test-rollouts.txt (35 minutes)
	@tests/cluster/build.sh "" traefik >/dev/null
	@rm -f target/test-rollouts.txt
	@DRIFTLESS_LONG=1 DEMAND_NODE=1 tests/cluster/with-node.sh $(CARGO) test --test it -- --nocapture rollouts; status=$$?; \
	  $(MAKE) --no-print-directory test-histories || status=1; cat target/test-rollouts.txt; exit $$status

test-histories: ## random histories of rollouts, each of which must keep the laws (4 minutes; HISTORIES=n)
	@$(CARGO) test --lib --no-run
	@mkdir -p target; start=$$SECONDS; verdict=met; \
	  ROLLOUT_HISTORIES=$(HISTORIES) $(CARGO) test --lib -- rollout::machine::laws || verdict=MISSED; \
	  printf '\nhistories  %s at random, in %s s  none breaks a law  %s\n' $(HISTORIES) $$((SECONDS - start)) $$verdict \
	    | tee -a target/test-rollouts.txt; test $$verdict = met

test-kustomize: setup ## random kustomizations, rendered here and by kustomize: the same bytes? (1 minute; TREES=n, SEED=n; CONFORMANCE=kustomize.py adds a corpus)
	@PATH="$$(tests/cluster/build.sh '' kustomize):$$PATH" DEMAND_NODE=1 $(CARGO) test --test it -- kustomize:: ; \
	  status=$$?; cat target/test-kustomize.txt; exit $$status
	@test -z "$(CONFORMANCE)" || { $(CARGO) build --release --bin driftless && python3 $(CONFORMANCE) -- $(RELEASE)/driftless render; }

soak-kustomize: export TREES ?= 20000
soak-kustomize: test-kustomize ## the same with 20,000 trees (15 minutes)

soak-faults: setup ## plant 20 faults in the engine, one at a time: random kustomizations must find each (10 minutes)
	@PATH="$$(tests/cluster/build.sh '' kustomize):$$PATH" python3 tests/kustomize/faults.py

bench: build ## how fast renders are, as a table: processes beside kustomize's, overlays, curves; CORPUS=directory for another one
	@test -x "$(KUSTOMIZE)" || tests/cluster/build.sh >/dev/null
	@$(CARGO) bench --quiet --bench scale --no-run
	@benches/processes $(if $(CORPUS),--corpus $(CORPUS)) --kustomize "$(KUSTOMIZE)" --driftless $(RELEASE)/driftless --in-process $(CARGO) bench --quiet --bench scale
	@echo
	@$(CARGO) bench --quiet --bench scale

soak-fuzz: ## fuzz the YAML reader, the patches and the whole engine: FUZZ_SECONDS=1800 each (nightly Rust)
	@fuzz/run

image: build ## the agent's image, pushed to REGISTRY (host/path), or into the node that STATE names
	@push=$(if $(REGISTRY),tests/cluster/image.sh,"tests/cluster/node.sh image"); \
	$$push $(if $(REGISTRY),$(REGISTRY)/)driftless:$(TAG) $(RELEASE)/driftless /etc/ssl/certs/ca-certificates.crt

demo: ## the main job, live, on a node of its own (under 3 minutes, when everything is cached); KEEP=1 leaves it running
	@demo/run

fmt: ## format the code
	@$(CARGO) fmt

lint: test-fmt test-lint ## rustfmt and clippy

clean: ## remove what cargo built; the node's programs stay in ~/.cache/driftless
	@$(CARGO) clean
