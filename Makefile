# Everything a contributor runs. `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup fmt lint types test test-long chaos foreign-clients bench-simulator bench-mapping demo helm lock check clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("jira-link-bridge needs Python 3.11 or later; set PYTHON=…") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

setup: $(STAMP) ## Make .venv with everything in it

fmt: setup ## Format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: setup ## Check style (ruff, all rules)
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: setup ## Check types (mypy, strict)
	$(BIN)/mypy

test: setup ## Run the tests; starts real Kafka and PostgreSQL where it can
	$(BIN)/pytest

test-long: setup ## Run the long suites (2,000 convergence examples, twenty kills, pacing)
	$(BIN)/pytest -m slow -s

chaos: setup ## Put faults on real Kafka, Jira's simulator and workers, and write docs/faults.md (40 minutes)
	$(BIN)/python -m tests.chaos.run --write $(ARGS)

foreign-clients: setup ## Try other people's Jira clients on the simulated Jira (installs them into .cache)
	$(BIN)/python tests/foreign/run.py

bench-mapping: setup ## Measure how many GitHub events a second become changes, on one core
	PYTHONPATH=. $(BIN)/python tests/bench/mapping.py $(ARGS)

bench-simulator: setup ## Measure the simulated Jira's writes a second, on one core
	$(BIN)/python tests/bench/simulator.py $(ARGS)

demo: setup ## See the whole way at work, with nothing to install
	$(BIN)/jira-bridge demo $(ARGS)

helm: setup ## Lint, render and validate the chart
	helm/check $(BIN)

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## Pin the dependencies anew (needs uv); the image gets the second list
	$(LOCK) --all-extras --group dev pyproject.toml -o requirements.lock
	$(LOCK) --constraint requirements.lock pyproject.toml -o requirements-runtime.lock

check: lint types test ## What CI runs

clean: ## Remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
