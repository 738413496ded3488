# Everything happens in .venv, which is made when it is not there. See `make help`.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
PYTEST := $(VENV)/bin/python -m pytest
# Test functions may leave out types of fixtures
MYPY_TESTS := --explicit-package-bases --allow-untyped-defs --allow-incomplete-defs \
	--allow-untyped-calls --allow-untyped-decorators --no-warn-return-any
SOURCES := setup.py $(shell find jukebox_cli plugins presets examples -type f \
	-not -name '*.pyc' -not -name '*.so')
NATIVE := setup.py $(wildcard jukebox_cli/engine/native/*)

.PHONY: help song build test test-all torture lint format map bench fuzz clean

help:
	@echo 'make song      a first song, in runs/rock'
	@echo 'make build     compiles the native engine anew if its sources changed; test does so too'
	@echo 'make test      the tests without the slow ones, on all cores'
	@echo 'make test-all  all tests, with the branch coverage of the core'
	@echo 'make torture   kills commands, makes disks fail, runs many at once; up to an hour'
	@echo 'make lint      style and types; make format: fixes the style'
	@echo 'make map       the packages, what they import, and the sizes of modules'
	@echo 'make bench     the figures: make bench BENCH="--songs FOLDER"'
	@echo 'make fuzz      20,000 wrong files for every reader: make fuzz FUZZ="--inputs 1000"'
	@echo 'make clean     removes .venv and what builds leave behind'
	@echo 'PYTHON=python3.12 chooses another Python for .venv'

song: $(VENV)/installed
	$(VENV)/bin/jukebox generate --preset rock.yaml --out runs/rock

build: $(VENV)/with-tests

# One thread per process: small tensors gain nothing from more, and the processes share the cores
test: $(VENV)/with-tests
	OMP_NUM_THREADS=1 $(PYTEST) -n auto -m 'not slow'

test-all: $(VENV)/with-tests
	OMP_NUM_THREADS=1 $(PYTEST) -n auto --cov --cov-report=term:skip-covered

torture: $(VENV)/with-tests
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(VENV)/bin/python -m torture $(TORTURE)

lint: $(VENV)/with-tools
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy $(MYPY_TESTS) tests

format: $(VENV)/with-tools
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Needs no installation: it reads the code
map:
	@$(PYTHON) tests/support/import_graph.py

bench: $(VENV)/installed
	$(VENV)/bin/python benchmarks/run.py $(BENCH)

fuzz: $(VENV)/with-tests
	OMP_NUM_THREADS=1 $(VENV)/bin/python benchmarks/fuzz.py --out benchmarks/results/fuzz.md $(FUZZ)

clean:
	rm -rf $(VENV) build dist ./*.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# An editable installation, once there is one, is up to date by itself, but for the native engine
$(VENV)/installed: $(SOURCES) pyproject.toml constraints.txt | $(VENV)/bin/python
	if test -e $(VENV)/with-tests || test -e $(VENV)/with-tools; \
	then $(VENV)/bin/python setup.py -q build_ext --inplace; \
	else rm -rf build; $(PIP) .; fi
	touch $@

# For songs that tests make and judge; without these the tests are skipped. tinysoundfont names a sound card
# library that rendering does not need, and pyworld may want a compiler; so may visqol-python.
$(VENV)/with-tests: $(NATIVE) pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[test]'
	-$(PIP) --no-deps tinysoundfont
	-$(PIP) pyworld mir_eval
	-$(PIP) matplotlib zimtohrli
	-$(PIP) visqol-python
	touch $@

$(VENV)/with-tools: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $@
