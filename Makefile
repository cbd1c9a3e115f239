# `make demo` and `make test` need Python >= 3.11, Rust >= 1.88, make and the package registries; the rest is theirs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
# Only for `make lock`; what is installed stands in requirements.lock and requirements-dev.lock.
UV_VERSION := 0.13.9
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
EXTENSION := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs' -o -name Cargo.toml)
export PYTHON
# Where rustup puts a toolchain, for shells that do not look there.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.made:
	@.ci/rust
	@python=$$(.ci/python) && echo "making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@$(INSTALL) 'pip>=25.1'
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements.lock
	@echo "installing requirements.lock"
	@$(INSTALL) -r requirements.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "installing requirements-dev.lock"
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

$(VENV)/.built: $(VENV)/.runtime $(EXTENSION)
	@echo "building the release extension (minutes, the first time)"
	@$(INSTALL) maturin==$$(sed -n 's/^maturin==//p' requirements-dev.lock)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --quiet
	@touch $@

$(VENV)/.tools: $(VENV)/.made .ci/tools
	@.ci/tools
	@touch $@

.PHONY: demo
demo: $(VENV)/.built ## Run the main job on this machine; ARGS="--once --output json" is passed on.
	@$(BIN)/mfgroute demo $(ARGS)

.PHONY: test
test: $(VENV)/.dev $(VENV)/.built $(VENV)/.tools ## Run every test, lint and type check; ONLY="pytest mypy" runs some.
	@$(BIN)/python tools/verify.py $(ONLY)

.PHONY: lint
lint: $(VENV)/.dev $(VENV)/.built ## Run the lints and type checks alone.
	@$(BIN)/python tools/verify.py --lint

.PHONY: fmt
fmt: $(VENV)/.dev ## Format Rust and Python.
	@cargo fmt --all
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

.PHONY: torture
torture: $(VENV)/.dev $(VENV)/.built $(VENV)/.tools ## Run the random tests for MINUTES=60 and record it in docs/reliability.
	@$(BIN)/python tools/torture.py --minutes $(or $(MINUTES),60)

.PHONY: miri
miri: ## Run the tests around unsafe code and of the log under Miri, on a nightly toolchain.
	@cargo +nightly miri --version 2>/dev/null || { \
		echo "make miri: there is no Miri here, so nothing was run." >&2; \
		echo "  hint: rustup toolchain install nightly --component miri,rust-src" >&2; exit 1; }
	@export MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=$(or $(CASES),4) CARGO_TARGET_DIR=target/miri; \
	cargo +nightly miri test --locked -p mfgroute-log --lib -- frame:: memory::; \
	cargo +nightly miri test --locked -p mfgroute-core --lib -- flat::scan

.PHONY: bench
bench: $(VENV)/.dev $(VENV)/.built ## Measure the targets beside their peers; ROUNDS=7 ARGS="--rows B1 --full".
	@$(BIN)/python bench/run.py --rounds $(or $(ROUNDS),7) $(ARGS)

.PHONY: docs
docs: $(VENV)/.dev $(VENV)/.built ## Write the reference from the code, build the Rust documentation, check the pages.
	@if [ -f docs/generate.py ]; then $(BIN)/python docs/generate.py; fi
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
	@$(BIN)/python tools/verify.py docs

.PHONY: lock
lock: $(VENV)/.made ## Choose new versions within the bounds of pyproject.toml.
	@$(INSTALL) uv==$(UV_VERSION)
	@$(BIN)/uv pip compile -q -U --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q -U --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		-c requirements.lock --group dev pyproject.toml -o requirements-dev.lock

.PHONY: clean
clean: ## Remove everything that was built.
	@rm -rf $(VENV) target dist bench/.peers bench/.work bench/micro/target .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -f python/mfgroute/_core*.so
