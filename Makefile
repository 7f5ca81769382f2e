# JPKI Authority: every task of a developer and a user. `make` alone explains itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
PACKAGES := jpki ca ocsp crl enroll signing hsm_adapter server bench
WORKERS ?= 2
# `jpki` and its parts are started hundreds of times: what was compiled once is kept, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

##@ Use
.PHONY: demo
demo: .venv/runtime ## Set up, then tell the whole story in a new home (no root, no Debian package)
	@$(BIN)/jpki demo

.PHONY: serve
serve: .venv/runtime ## Set up, make ./home if there is none, and serve it on 127.0.0.1:8080
	@test -e home/jpki.toml || $(BIN)/jpki init --home home
	@$(BIN)/jpki serve --home home

.PHONY: paper
paper: .venv/runtime ## Install what prints receipts and letters; libpango besides (docs/paper.md)
	@$(PIP) install --require-hashes --requirement requirements/paper.txt

##@ Develop
.PHONY: test
test: .venv/dev debian ## Set up, then run every check and every test
	@# Types take half a minute of one core, so they are checked beside the tests, and told of after them. There is one
	@# process of tests more than there are cores: many tests wait for a process of their own.
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT; $(MAKE) lint >"$$said" 2>&1 & \
	  tests=0; $(BIN)/python -m pytest -n $$(($(WORKERS) + 1)) --durations 15 || tests=$$?; \
	  lint=0; wait $$! || lint=$$?; cat "$$said"; exit $$((tests || lint))

.PHONY: check
check: .venv/dev ## Format, lint, types, import contracts and the fast tests, in under a minute
	@$(MAKE) lint
	@$(BIN)/python -m pytest -n $(WORKERS) -q -m "not slow"

.PHONY: browser
browser: .venv/dev debian ## Only the tests that look at pages in Chromium: axe, keyboards, 320 pixels, pictures
	@$(BIN)/python -m pytest -n $$(($(WORKERS) + 1)) -m browser tests/console tests/look tests/interop tests/server/test_card_terminal.py

.PHONY: bench
bench: .venv/dev ## Measure everything, or one row: make bench ROW=issue|hsm|ocsp|crl|crl_changes|crl_lookup|verify|counter; raw output in bench/out/
	@bash tests/debian-packages.sh bench
	@$(BIN)/python -m bench $(ROW)

.PHONY: soak
soak: .venv/dev debian ## Properties with thirty times the examples; tokens, writers and crashes at length: minutes
	@$(BIN)/python -m pytest -n $(WORKERS) -q --hypothesis-profile=soak

.PHONY: lint
lint: .venv/dev ## Format, lint, types and import contracts only
	@$(BIN)/ruff format --check --quiet $(PACKAGES) tests
	@$(BIN)/ruff check --quiet $(PACKAGES) tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports | tail -n 3

.PHONY: format
format: .venv/dev ## Write the format and the fixes that are safe
	@$(BIN)/ruff format $(PACKAGES) tests
	@$(BIN)/ruff check --fix $(PACKAGES) tests

.PHONY: pins
pins: ## Make the hash-pinned requirements anew (needs uv on PATH)
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 pyproject.toml --group build --output-file requirements/runtime.txt
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 pyproject.toml --extra paper --group build --output-file requirements/paper.txt
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 pyproject.toml --extra paper --group dev --output-file requirements/dev.txt

.PHONY: clean
clean: ## Remove the environment and all caches
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: debian
debian: ## Install the Debian packages that the tests' outside clients come in, where that is allowed
	@bash tests/debian-packages.sh

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z.]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up: one environment, .venv; a stamp file for what it holds ---------------------------------------------
.venv/bin/python:
	@echo "Setting up .venv (once) ..."
	@$(PYTHON) -m venv .venv

.venv/runtime: requirements/runtime.txt pyproject.toml | .venv/bin/python
	@echo "Installing what the authority needs ..."
	@$(PIP) install --require-hashes --requirement requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements/dev.txt .venv/runtime
	@echo "Installing what the tests need ..."
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@
