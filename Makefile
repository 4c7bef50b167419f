# Two commands: `make demo` and `make test`. Both set up .venv and say what they do.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHELL := /bin/bash

.PHONY: help demo test check format system clean

help:
	@echo "make demo    set up and play the bundled clip through the live pipeline, in a window where"
	@echo "             there is a display, else in the terminal"
	@echo "make test    set up everything and run the tests"
	@echo "make check   format, lint, types, import contracts"
	@echo "make format  rewrite the sources in the project's format"
	@echo "make clean   remove $(VENV) and caches"

demo: $(VENV)/.core
	$(BIN)/realtime-er demo

test: $(VENV)/.all
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A stamp is newer than pyproject.toml once what it lists is installed, so the second time is quick.
$(VENV)/bin/python:
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.system: scripts/system_libraries.sh | $(VENV)/bin/python
	@bash scripts/system_libraries.sh
	@touch $@

$(VENV)/.core: pyproject.toml $(VENV)/.system
	@echo "Installing realtime_er with its window (no torch)"
	$(PIP) install -q -e ".[offline,window]"
	@touch $@

$(VENV)/.all: pyproject.toml $(VENV)/.core
	@echo "Installing all extras (torch and transformers among them: several minutes the first time)"
	$(PIP) install -q -e ".[offline,window,export,paper,train,test,lint]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
