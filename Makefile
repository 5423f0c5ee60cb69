# make alone prints this list. Every target sets up what it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
REAL   ?= $(wildcard ../shared/data/brca-m2c)

.PHONY: help setup demo test notebooks wheel test-all coverage browser readers mutate hostile check format docs site bench sbom clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP)  ## a virtual environment with everything, CPU build of torch

$(STAMP): pyproject.toml constraints/cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/cpu.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)   ## the main job on the embedded bundle: pictures in demo/
	$(BIN)/histosynth demo --out demo

test: $(STAMP)   ## the tests: CPU, offline, on up to four cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

notebooks: $(STAMP) ## the notebooks at full size, with their outputs, in notebooks/ (many minutes; REAL=folder of real tissue)
	$(BIN)/python examples/notebooks/run_notebooks.py --out notebooks $(if $(REAL),--real $(REAL))

wheel: $(STAMP)  ## the wheel in an environment of its own: it does what the README names (minutes)
	$(BIN)/python -m pytest -m slow tests/building/test_wheel.py

test-all: $(STAMP) ## the slow ones too
	$(BIN)/python -m pytest -m ""

coverage: $(STAMP) ## the tests with branch coverage: a table, and htmlcov/index.html
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-report=html

browser: $(STAMP)  ## the page of examples/browser in headless Chromium, with onnxruntime-web from npm (minutes)
	set -e; folder=$$(mktemp -d); \
	(cd $$folder; npm pack --silent onnxruntime-web@1.30.0 > packed; tar -xzf onnxruntime-web-1.30.0.tgz); \
	HISTOSYNTH_ORT_WEB=$$folder/package/dist $(BIN)/python -m pytest -rs tests/examples/test_browser_page.py; \
	rm -rf $$folder

readers: $(STAMP)  ## a tile set opened with the oldest and the newest promised Hugging Face datasets, DuckDB, Polars
	set -e; folder=$$(mktemp -d); $(BIN)/python tests/readers/write_set.py $$folder/set; \
	for version in 3.6.0 5.2.0; do \
	  $(PYTHON) -m venv $$folder/venv-$$version; \
	  $$folder/venv-$$version/bin/python -m pip install --quiet --disable-pip-version-check datasets==$$version pillow polars duckdb; \
	  HF_HOME=$$folder/cache-$$version $$folder/venv-$$version/bin/python tests/readers/read_set.py $$folder/set; \
	done; rm -rf $$folder

mutate: $(VENV)/.mutation ## mutants of core, metrics and sampling that no test notices (hours; resumes; MUTANTS="histosynth.core.matching*")
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

$(VENV)/.mutation: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/cpu.txt -e '.[mutation]'
	touch $(VENV)/.mutation

hostile: $(STAMP) ## altered files of every format, hostile servers and bundles, kills: a table, and hostile.json (half an hour)
	PYTHONPATH=src:tests:tests/support $(BIN)/python -m hostile $(HOSTILE)

check: $(STAMP)  ## format, lint, types, import contracts, spelling
	$(BIN)/ruff format --check src tests benchmarks docs examples
	$(BIN)/ruff check src tests benchmarks docs examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(STAMP) ## put the code in form
	$(BIN)/ruff format src tests benchmarks docs examples
	$(BIN)/ruff check --fix src tests benchmarks docs examples

docs: $(STAMP)   ## write docs/cli and the schemas of recipes anew
	$(BIN)/python docs/write_help.py
	$(BIN)/python docs/write_schema.py

site: $(VENV)/.site ## the documentation as a site in site/, without the network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

$(VENV)/.site: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/cpu.txt -e '.[site]'
	touch $(VENV)/.site

bench: $(STAMP)  ## quality and speed tables (needs the shared tissue for quality)
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/speed.py

sbom:            ## sbom.json (CycloneDX 1.6) and licences.csv of the packages that users get
	set -e; folder=$$(mktemp -d); trap 'rm -rf $$folder' EXIT; \
	$(PYTHON) -m venv --without-pip $$folder/users; $(PYTHON) -m venv $$folder/tools; \
	pip="$$folder/tools/bin/python -m pip --disable-pip-version-check"; \
	$$pip --python $$folder/users/bin/python install --quiet -c constraints/cpu.txt .; \
	$$pip install --quiet cyclonedx-bom==7.5.0 pip-licenses==5.5.5; \
	$$folder/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --no-validate -o sbom.json $$folder/users/bin/python; \
	$$folder/tools/bin/pip-licenses --python=$$folder/users/bin/python --from=mixed --with-system --format=csv --with-urls --output-file=licences.csv; \
	$$folder/tools/bin/python docs/complete_sbom.py sbom.json licences.csv

clean:           ## remove what can be made again
	rm -rf $(VENV) demo notebooks site htmlcov .coverage mutants .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
