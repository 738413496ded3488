# Everything happens in .venv, which is made when it is not there. See `make help`.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
SOURCES := $(shell find jukebox_cli plugins presets -type f -not -name '*.pyc')

.PHONY: help song test test-all lint format bench clean

help:
	@echo 'make song      a first song, in runs/rock'
	@echo 'make test      the tests; make test-all: the slow ones too'
	@echo 'make lint      style and types; make format: mends the style'
	@echo 'make bench     the figures: make bench BENCH="--songs FOLDER"'
	@echo 'make clean     removes .venv and what builds leave behind'
	@echo 'PYTHON=python3.12 chooses another Python for .venv'

song: $(VENV)/installed
	$(VENV)/bin/jukebox generate --preset rock.yaml --out runs/rock

test: $(VENV)/with-tests
	$(VENV)/bin/python -m pytest -m 'not slow'

test-all: $(VENV)/with-tests
	$(VENV)/bin/python -m pytest

lint: $(VENV)/with-tools
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/with-tools
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/installed
	$(VENV)/bin/python benchmarks/run.py $(BENCH)

clean:
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# An editable installation, once there is one, is up to date by itself
$(VENV)/installed: $(SOURCES) pyproject.toml constraints.txt | $(VENV)/bin/python
	rm -rf build
	test -e $(VENV)/with-tests || test -e $(VENV)/with-tools || $(PIP) .
	touch $@

# For songs that tests make and judge; without these the tests are skipped. tinysoundfont names a sound card
# library that rendering does not need, and pyworld may want a compiler.
$(VENV)/with-tests: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[test]'
	-$(PIP) --no-deps tinysoundfont
	-$(PIP) pyworld mir_eval
	touch $@

$(VENV)/with-tools: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $@
