# `make demo` and `make test` need only Python 3.11 or newer and make; everything else is installed into this folder.
PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
RECORDINGS ?= ../shared/recordings
CASES ?= ../shared/cases

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test check format lint types imports docs docs-check mutate fuzz flood bench bench-latency eval peers clean

help: ## what each target does
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 18

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'

# kubewake itself is built anew each time, since its compiled parts are files of this tree.
SYNC := sync --quiet --frozen --inexact --reinstall-package kubewake
BUILT := hatch_build.py $(wildcard src/kubewake/*/*.pyx src/kubewake/*/*.pxi)

.venv/.runtime: $(UV) pyproject.toml uv.lock $(BUILT)
	$(UV) $(SYNC) --no-dev
	@touch $@

.venv/.dev: $(UV) pyproject.toml uv.lock $(BUILT)
	$(UV) $(SYNC) --group dev
	@touch .venv/.runtime $@

.venv/.bench: .venv/.dev
	$(UV) $(SYNC) --group dev --group bench
	@touch $@

setup: .venv/.runtime ## install kubewake into .venv
setup-dev: .venv/.dev ## and what its developers need

demo: .venv/.runtime ## watch a real attack being detected
	$(BIN)/kubewake demo

test: .venv/.dev ## run the tests
	$(BIN)/pytest -q -n 2 --dist loadgroup

check: .venv/.dev lint types imports docs-check test ## everything that CI runs

format: .venv/.dev ## put the code in its standard form
	$(BIN)/ruff format src tests bench docs/*.py hatch_build.py
	$(BIN)/ruff check --fix src tests bench docs/*.py hatch_build.py

lint: .venv/.dev
	$(BIN)/ruff format --check src tests bench docs/*.py hatch_build.py
	$(BIN)/ruff check src tests bench docs/*.py hatch_build.py
	$(BIN)/kubewake rules lint

types: .venv/.dev
	$(BIN)/mypy

imports: .venv/.dev
	$(BIN)/lint-imports

docs: .venv/.dev ## write the generated pages
	$(BIN)/python docs/generate.py

docs-check: .venv/.dev
	$(BIN)/python docs/generate.py --check

mutate: .venv/.dev ## delete each condition of each rule and see a test fail
	$(BIN)/python -m kubewake.workbench.mutation

fuzz: .venv/.dev ## 200,000 hostile inputs through the formats
	$(BIN)/python -m tests.fuzz.formats --inputs 200000

flood: .venv/.dev ## 5 million made-up programs of one actor through the whole engine (half an hour)
	$(BIN)/python -m tests.fuzz.flood --agents 5000000

bench: .venv/.dev ## throughput, as ratios in one run (needs RECORDINGS, some minutes)
	$(BIN)/python -m bench.throughput --recordings $(RECORDINGS)

bench-latency: .venv/.dev ## from POST to printed finding at 5,000 events a second
	$(BIN)/python -m bench.latency

eval: .venv/.bench ## detection quality on labelled recordings (needs RECORDINGS, half an hour or more)
	$(BIN)/python -m bench.evaluation --recordings $(RECORDINGS)

peers: .venv/.dev ## agreement with peers' own test cases, without and with the set-up of each (needs CASES, a minute or two)
	$(BIN)/python -m bench.peers $(CASES)

clean: ## remove what the targets made
	rm -rf .venv .tools build dist
