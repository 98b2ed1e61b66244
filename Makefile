# SecretSync. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Node 24 comes with the devDependency `node`.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

help: ## Show this help
	@if [ -t 1 ]; then on='\033[36m' off='\033[0m'; fi; \
	awk -v on="$$on" -v off="$$off" -F ':.*## ' \
		'/^[a-z][a-z0-9-]*:.*## / { printf "  %s%-18s%s %s\n", on, $$1, off, $$2 }' $(MAKEFILE_LIST)

# The stamp is newer than the lock file once everything in it is installed.
node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: install Node.js from https://nodejs.org" >&2; exit 1; }
	@echo "▸ install what the project is built with, this once: up to a minute"
	@npm ci --no-audit --no-fund --loglevel=error > /dev/null
	@# No package runs a script of its own but this one, which brings Node.
	@npm rebuild --ignore-scripts=false --loglevel=error node > /dev/null
	@touch $@

dist/operator.mjs: node_modules/.installed package.json $(shell find src tools/build.ts tools/shipped.ts tools/stubs -name '*.ts')
	@echo "▸ bundle the operator"
	@node tools/build.ts

build: dist/operator.mjs ## Bundle the operator to dist/operator.mjs

demo: dist/operator.mjs ## Show the main job on a real cluster (DEMO_EXIT=1 ends it after the story)
	@node tools/demo.ts

run: node_modules/.installed ## Run the operator from source against the current kubeconfig, with an emulated AWS
	@node tools/run.ts

test: dist/operator.mjs ## Run all tests on a real cluster; the last line counts them
	@node tools/test.ts unit integration redteam e2e install

test-unit: node_modules/.installed ## Run the tests that need no cluster, with coverage of the core
	@node tools/test.ts unit

test-integration: dist/operator.mjs ## Run the tests on a real control plane
	@node tools/test.ts integration

redteam: dist/operator.mjs ## Attack the operator as a tenant, and as whoever has taken it over
	@node tools/test.ts redteam

test-e2e: dist/operator.mjs ## Run the tests with real pods
	@node tools/test.ts e2e

test-install: dist/operator.mjs ## Run the tests that install the chart
	@node tools/test.ts install

verify: node_modules/.installed ## Check format, lint, types, and that everything generated is up to date
	prettier --check --log-level warn .
	markdownlint-cli2 > /dev/null
	oxlint --type-aware --deny-warnings src test tools
	tsc --noEmit
	knip
	@node tools/verify-generated.ts

generate: node_modules/.installed ## Write all that is generated: CRDs, chart, reference, config/install.yaml
	@node tools/generate.ts
	@node tools/chart/write-kustomize.ts

format: node_modules/.installed ## Format everything
	prettier --write --log-level warn .

image: dist/operator.mjs ## Build the image: by Docker, Podman or Buildah, else packed to dist/image.tar
	@node tools/image/build.ts

sbom: dist/operator.mjs ## Write dist/sbom.cdx.json and dist/THIRD-PARTY-LICENSES: what is in the operator

bench: dist/operator.mjs ## Measure the operator on a real control plane against its goals
	@node tools/bench/main.ts

fuzz: node_modules/.installed ## Look for the spec and payload that hold everybody else up for longest
	@node tools/fuzz/main.ts

mutation: node_modules/.installed ## Put faults into the source, and see whether unit tests notice (hours; MUTATION_ROOMS=rollout)
	@node tools/mutation/main.ts

cluster-up: node_modules/.installed ## Start a cluster; the last line is its kubeconfig's path
	@node test/cluster/cli.ts up

cluster-down: node_modules/.installed ## End that cluster and remove it
	@node test/cluster/cli.ts down

clean: ## Remove what was built here; built tools stay in the user's cache folder
	rm -rf dist coverage node_modules

.PHONY: help build demo test test-unit test-integration redteam test-e2e test-install verify generate format image sbom bench fuzz cluster-up cluster-down clean
