# Every target sets up what it needs: `make demo` and `make test` work alone on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.installed
WORKERS ?= auto
RECORD := HOGWILD_BENCH_RESULTS=benchmarks/results $(BIN)/python

.PHONY: demo test test-slow bench bench-data bench-linear bench-factorisation bench-cluster bench-online lint docs clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(SETUP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group test --group lint --group docs
	touch $@

demo: $(SETUP) ## train on real input beside scikit-learn, print the table, write the report
	$(BIN)/hogwild demo

test: $(SETUP) ## the test suite, in parallel
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --doctest-modules src tests

test-slow: $(SETUP) ## real data, crash loops, smoke runs of the benchmarks
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m slow tests

bench: $(SETUP) ## the rival table, and docs/benchmarks.md anew; FULL=1 for 781,000 rows
	$(RECORD) benchmarks/core.py $(if $(FULL),--full)
	$(BIN)/python benchmarks/page.py

bench-data: $(SETUP) ## reading, caching and training beyond memory, beside scikit-learn and Vowpal Wabbit; SCALE=0.1 for less
	-$(BIN)/python -m pip install --quiet --group bench
	$(RECORD) benchmarks/data.py --scale $(or $(SCALE),1)
	$(BIN)/python benchmarks/page.py

bench-linear: $(SETUP) ## dual solvers, many settings, own steps and engines, beside their rivals; PARTS="dual engines" for some
	-$(BIN)/python -m pip install --quiet --group bench
	$(RECORD) benchmarks/linear.py $(PARTS)
	$(BIN)/python benchmarks/page.py

bench-factorisation: $(SETUP) ## models of factors beside libffm (ffm-train on PATH), implicit and exact cuts; PARTS="ffm cut" for some
	-$(BIN)/python -m pip install --quiet --group bench-factorisation
	$(RECORD) benchmarks/factorisation.py $(PARTS)
	$(BIN)/python benchmarks/page.py

bench-cluster: $(SETUP) ## the simulator's speed, merge rules, stragglers, Ray beside one process, faults; PARTS="simulation ray" for some
	$(RECORD) benchmarks/cluster.py $(PARTS)
	$(BIN)/python benchmarks/page.py

bench-online: $(SETUP) ## the online service on loopback, and mixing; ORIGINAL=python3.7 with embedded_jubatus to compare
	$(RECORD) benchmarks/online.py $(if $(ORIGINAL),--original $(ORIGINAL))
	$(RECORD) benchmarks/online_mix.py
	$(BIN)/python benchmarks/page.py

lint: $(SETUP) ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

docs: $(SETUP) ## build the documentation strictly
	$(BIN)/mkdocs build --strict

clean: ## remove what the targets made
	rm -rf $(VENV) site tests/report/node_modules
