# Each target makes the virtual environment it needs, in .venv.
#   make demo    the sandbox on loopback, a session to it, trades, a rotation under load
#   make test    everything that must hold: style, types, layers, README, tests with branch coverage
#   make test-extra   what needs more than Python and make; each of these tests skips, and says why, where that is not there
#   make test-all   the tests on every Python from 3.11 on that is installed, and with the lowest versions that we allow
#   make check   style and types only
#   make lint    style only, and whether the generated tables are current; takes seconds
#   make docs    the documentation as a site, into build/docs; a warning is an error, and links inside are checked
#   make bench   speed beside every other client, as ratios within one run
#   make bench-faults   what becomes of orders and events under the same faults, beside other clients; some 20 minutes
#   make bench-guard   steps that Python takes for a call, held against what was recorded; no other client, some seconds
#   make soak   worlds by seed in which everything goes wrong, SEEDS=10000 FROM=0; half an hour on two cores
#   make soak-mutations   known mistakes put back, and when each is found, SEEDS=500 FROM=0, one by MISTAKE=5; half an hour
#   make dist    what a release consists of, checked; see RELEASING.md
#   make mutants   small changes of the source, and how many of them the tests notice; hours, goes on where it was

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-extra test-all check lint mypy basedpyright docs bench bench-faults bench-guard soak soak-mutations mutants dist clean

demo: $(VENV)/.demo
	$(BIN)/bintrio demo

test: check
	$(BIN)/python -m pytest -m "not extra" --numprocesses auto --cov --cov-report term-missing:skip-covered

test-extra: $(VENV)/.dev $(VENV)/.bench $(VENV)/.mutants $(VENV)/.containers $(VENV)/.docs $(VENV)/.browser $(VENV)/.notebook
	$(BIN)/python -m pytest -m extra

test-all: $(VENV)/.dev
	$(BIN)/python -m scripts.every_python

check: lint
	@$(MAKE) --no-print-directory --jobs 2 mypy basedpyright

mypy basedpyright: $(VENV)/.dev
	$(BIN)/$@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m scripts.make_methods --check
	$(BIN)/python -m scripts.make_world --check

docs: $(VENV)/.docs
	$(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet -b html -d build/doctrees docs build/docs
	@echo build/docs/index.html

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.run
	$(BIN)/python benchmarks/wire.py
	$(BIN)/python benchmarks/codec.py

bench-faults: $(VENV)/.bench
	$(BIN)/python -m benchmarks.faults

bench-guard: $(VENV)/.dev
	$(BIN)/python -m benchmarks.guard

soak: $(VENV)/.dev
	$(BIN)/python -m scripts.soak

soak-mutations: $(VENV)/.dev
	$(BIN)/python -m scripts.storm_mutations

mutants: $(VENV)/.mutants
	$(BIN)/python -m scripts.mutants

dist: $(VENV)/.release
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,tls]'
	touch $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,docs,otel,ui]'
	touch $@

$(VENV)/.containers: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[containers]'
	touch $@

$(VENV)/.browser: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	touch $@

$(VENV)/.notebook: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[notebook]'
	touch $@

$(VENV)/.mutants: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	touch $@ $(VENV)/.dev $(VENV)/.demo

$(VENV)/.release: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[release]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist .coverage .mutants .hypothesis .mypy_cache .pytest_cache .ruff_cache
