# Everything a developer runs, and what continuous integration runs. `make` alone prints the targets.
#
# Every target does its own set-up, says what it does while it does it, and is safe to run again.

PYTHON ?= python3
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
STEP := @scripts/step.sh

# One target directory for everything, so that nothing is compiled twice.
export CARGO_TARGET_DIR := $(CURDIR)/target
export PYO3_PYTHON := $(CURDIR)/$(VENV_PYTHON)
export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# `http`, `grpc`, `kafka` or `rabbitmq`: how the example's services send their spans.
TRANSPORT ?= http

# What a wheel is made of. `find` and not git, so that files that are not committed yet count.
# Folders are there for the sake of deleted files.
WHEEL_SOURCES := $(shell find Cargo.toml Cargo.lock scouter/* scouter-*/* \
	\( -name tests -o -name __pycache__ -o -name '.*' \) -prune -o -print 2>/dev/null)
SETUP_STAMP := $(VENV)/.set-up
BUILD_STAMP := $(VENV)/.wheel-installed

# Shipped crates; the binding is left out where no Python library can be linked.
WITHOUT_BINDING := --workspace --exclude scouter-py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help check-machine setup brokers build example.tracing example.tracing.hello example.tracing.goodbye \
	example.tracing.orchestrator test lint lint.rust lint.python test.rust test.features test.docs test.fuzz \
	test.benches test.python test.examples test.licences test.interop bench format clean

help: ## print the targets
	@printf 'Scouter. The two commands: make example.tracing (the main job) and make test (all tests).\n\n'
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-30s %s\n", $$1, $$2 }' Makefile

check-machine: ## say what this machine lacks
	@scripts/check-machine.sh $(PYTHON)

# --- set-up and build -------------------------------------------------------------------------------------------------

setup: $(SETUP_STAMP) ## make .venv and install the Python tools and packages (a minute, once)

$(SETUP_STAMP): scripts/requirements-dev.txt | check-machine
	$(STEP) "making the virtual environment $(VENV)" $(PYTHON) -m venv $(VENV)
	$(STEP) "installing Python tools and packages into $(VENV) (about a minute)" \
		$(VENV_PYTHON) -m pip install --quiet --upgrade --requirement scripts/requirements-dev.txt
	@touch $@

# Into the user's cache, so that a fresh clone has them already. The tests start and end them by themselves.
brokers: check-machine ## fetch what the tests need: RabbitMQ, Tansu, Apache Kafka, Chromium (a minute, once)
	$(STEP) "looking whether the message brokers are there" $(PYTHON) scripts/broker.py provision
	$(STEP) "looking whether the browser of the page's test is there" $(PYTHON) scripts/browser.py

build: $(BUILD_STAMP) ## build the wheel in release mode and install it in .venv (minutes, once)

$(BUILD_STAMP): $(SETUP_STAMP) $(WHEEL_SOURCES) scripts/build-wheel.sh
	$(STEP) "building the wheel and installing it into $(VENV) (some minutes the first time)" \
		scripts/build-wheel.sh $(VENV)
	@touch $@

# --- examples ---------------------------------------------------------------------------------------------------------

example.tracing: build ## three services, one trace, printed as a tree; TRANSPORT=grpc, kafka or rabbitmq: another way
	$(STEP) "running the tracing example over $(TRANSPORT)" \
		env SCOUTER_TRANSPORT=$(TRANSPORT) PATH="$(CURDIR)/$(VENV)/bin:$(PATH)" bash examples/tracing/run_example.sh

SERVICE = cd examples/tracing && PATH="$(CURDIR)/$(VENV)/bin:$(PATH)" SCOUTER_TRANSPORT=$(TRANSPORT) \
	python -m uvicorn

example.tracing.hello: build ## the hello service alone, port 8081
	$(SERVICE) hello:app --port 8081

example.tracing.goodbye: build ## the goodbye service alone, port 8082
	$(SERVICE) goodbye:app --port 8082

example.tracing.orchestrator: build ## the orchestrator alone, port 8083
	$(SERVICE) orchestrator:app --port 8083

# --- checks and tests -------------------------------------------------------------------------------------------------

# In this order and never side by side: they share cargo's lock and the machine's cores. pytest closes the run.
test: ## everything continuous integration checks (many minutes the first time)
	@$(MAKE) --no-print-directory lint.rust
	@$(MAKE) --no-print-directory test.rust
	@$(MAKE) --no-print-directory test.features
	@$(MAKE) --no-print-directory test.docs
	@$(MAKE) --no-print-directory test.fuzz
	@$(MAKE) --no-print-directory test.benches
	@$(MAKE) --no-print-directory test.licences
	@$(MAKE) --no-print-directory lint.python
	@$(MAKE) --no-print-directory test.examples
	@$(MAKE) --no-print-directory test.python

lint: ## formatting, clippy, ruff, mypy, stubs
	@$(MAKE) --no-print-directory lint.rust
	@$(MAKE) --no-print-directory lint.python

lint.rust: setup ## rustfmt and clippy
	$(STEP) "checking the format of the Rust code" scripts/optional.sh "cargo fmt" "rustup component add rustfmt" \
		cargo fmt --all --check
	$(STEP) "clippy (some minutes the first time)" scripts/optional.sh "cargo clippy" "rustup component add clippy" \
		cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

lint.python: build ## ruff, mypy --strict and stubtest
	$(STEP) "ruff: mistakes" $(VENV)/bin/ruff check .
	$(STEP) "ruff: format" $(VENV)/bin/ruff format --check .
	$(STEP) "mypy --strict over the package" \
		scripts/in.sh scouter-py $(CURDIR)/$(VENV_PYTHON) -m mypy --strict python/scouter
	$(STEP) "stubtest: the stubs against the built module" \
		scripts/in.sh scouter-py $(CURDIR)/$(VENV_PYTHON) -m mypy.stubtest scouter._scouter

test.rust: setup brokers ## the tests of all crates, all features
	$(STEP) "testing the crates (some minutes the first time)" scripts/test-rust.sh $(WITHOUT_BINDING) --all-features

test.features: check-machine ## every crate by itself, and with each single feature
	$(STEP) "building every crate by itself, with each single feature" $(PYTHON) scripts/check_features.py

test.docs: setup ## the documentation, links included
	$(STEP) "building the documentation" \
		env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps $(WITHOUT_BINDING) --all-features --locked --quiet

test.fuzz: check-machine ## the fuzz targets over their seeds and a little more
	$(STEP) "fuzz targets: seeds and a short run" cargo test --quiet --manifest-path fuzz/Cargo.toml

test.benches: check-machine ## that the benchmarks build, and that their sink counts right
	$(STEP) "building and testing the benchmarks' own parts" \
		cargo test --quiet --manifest-path benches/Cargo.toml

test.licences: check-machine ## licences and advisories of the dependencies, where cargo-deny is installed
	$(STEP) "licences, sources and advisories" scripts/optional.sh "cargo deny" "cargo install cargo-deny" \
		cargo deny --all-features check licenses bans sources

test.python: build brokers ## the tests of the Python package
	$(STEP) "testing the Python package" scripts/in.sh scouter-py $(CURDIR)/$(VENV_PYTHON) -m pytest

test.examples: build brokers ## the tracing example over HTTP, gRPC, Kafka and RabbitMQ
	@$(MAKE) --no-print-directory example.tracing TRANSPORT=http
	@$(MAKE) --no-print-directory example.tracing TRANSPORT=grpc
	@$(MAKE) --no-print-directory example.tracing TRANSPORT=kafka
	@$(MAKE) --no-print-directory example.tracing TRANSPORT=rabbitmq

# Not part of `make test`: the collector is built from source by its own builder, which takes minutes and Go.
test.interop: build brokers ## the collector of the OpenTelemetry project as the other end (needs Go; minutes, once)
	$(STEP) "testing beside the OpenTelemetry collector (some minutes the first time)" \
		env INTEROP_COLLECTOR=otelcol scripts/in.sh scouter-py $(CURDIR)/$(VENV_PYTHON) -m pytest \
		tests/test_collector.py tests/interop_kafka.py

bench: build ## measure beside the peers and write benches/RESULTS.md (about ten minutes)
	$(STEP) "measuring (about ten minutes)" $(VENV_PYTHON) benches/run.py

# --- housekeeping -----------------------------------------------------------------------------------------------------

format: setup ## rewrite the Rust and Python code in the project's format
	cargo fmt --all
	$(VENV)/bin/ruff check --fix --quiet . || true
	$(VENV)/bin/ruff format .

clean: ## remove all that was built or installed
	rm -rf target $(VENV) .mypy_cache .pytest_cache .ruff_cache
