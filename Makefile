# Two commands matter: `make demo` and `make test`. Each makes its own .venv first; a second run reuses it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More workers than the two cores that this is measured on: tests of the service wait for processes. The tests of one file
# stay together so that their fixtures are made once, those of the service first: they wait the most.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder
# One thread per process: the solvers and tests already run side by side.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.PHONY: help demo demo-hosting test soak lint format types imports examples docs check clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: $(STAMP)  ## plan the hybrid example; writes out/plan.json and out/plan.html
	@mkdir -p out
	$(BIN)/planner plan examples/hybrid -o out/plan.json --report out/plan.html

demo-hosting: $(STAMP)  ## the planner's own diagnostics: placed, run, lost, taken over, trained again, rolled back
	$(ONE_THREAD) $(BIN)/python examples/self-hosting/run.py

test: $(STAMP)  ## run every test but those that take minutes
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST_ARGS)

soak: $(STAMP)  ## run the tests that take minutes: a service that is killed again and again
	$(ONE_THREAD) $(BIN)/python -m pytest -m soak

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

imports: $(STAMP)  ## who may import whom
	$(BIN)/lint-imports --no-cache

examples: $(STAMP)  ## run every example
	$(BIN)/python examples/run_all.py

docs: $(STAMP)  ## the documents as a site: out/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

check: lint types imports examples test  ## all of the above

clean:  ## remove what was made, .venv included
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, $(PYTHON) is {v[0]}.{v[1]}; try: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,otel,ray]'
	@echo "compiling searches, forecasts and detectors, once (some minutes)"
	@$(BIN)/python -m planner.warm_up
	@touch $@
