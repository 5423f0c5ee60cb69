# make alone prints this list. Every target sets up what it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: help setup demo test test-all check format docs bench clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP)  ## a virtual environment with everything, CPU build of torch

$(STAMP): pyproject.toml constraints/cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/cpu.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)   ## the main job on the embedded bundle: pictures in demo/
	$(BIN)/histosynth demo --out demo

test: $(STAMP)   ## the tests: CPU, offline
	$(BIN)/python -m pytest

test-all: $(STAMP) ## the slow ones too
	$(BIN)/python -m pytest -m ""

check: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## put the code in form
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

docs: $(STAMP)   ## write docs/cli anew
	$(BIN)/python docs/write_help.py

bench: $(STAMP)  ## quality and speed tables (needs the shared tissue for quality)
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/speed.py

clean:           ## remove what can be made again
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
