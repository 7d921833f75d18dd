# Needs only make and a Python of at least 3.11: `make demo` and `make test` install the rest into .venv, once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DIST ?= dist
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.NOTPARALLEL:
.PHONY: help demo test slow lint types docs wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## run the demonstration
	$(BIN)/diffnr demo

# Each worker begins with a half of the files, as tests of a file share programs, and takes from the others what they
# have left in the end. Most of the time is compilation: see tests/conftest.py.
test: $(VENV)/.dev ## run the tests, without the slow ones
	DIFFNR_TEST_COMPILER=$(or $(COMPILER),quick) $(PYTEST) --dist worksteal

# pytest leaves with 5 when it selects nothing: fine only as long as no test is marked slow.
slow: $(VENV)/.dev ## run the slow tests
	DIFFNR_TEST_COMPILER=$(or $(COMPILER),older) $(PYTEST) -m slow --durations=60 || { test $$? -eq 5 && ! grep -rqs --include='*.py' 'mark\.slow' tests; }

lint: $(VENV)/.dev ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## check types
	$(BIN)/basedpyright --pythonpath $(BIN)/python

# Begun anew each time, since the gallery would not see that the library has changed.
docs: $(VENV)/.docs ## build the documentation into docs/_build/html
	rm -rf docs/_build docs/api docs/gallery
	$(BIN)/python -m sphinx -W --keep-going -d docs/_build/doctrees docs docs/_build/html

wheel: $(VENV)/.dev ## build the sdist, and from it the wheel, into dist/
	$(BIN)/python -m build --outdir $(DIST)

clean: ## remove what this Makefile and the tools made
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis docs/_build docs/api docs/gallery
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing); \
	  echo "diffnr needs Python 3.11 or newer, but $(PYTHON) is $$found; name another: make PYTHON=python3.11 ..." >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.made
	@echo "Installing diffnr and what it needs into $(VENV) (about a minute, once)"
	$(PIP_INSTALL) --editable '.[rf]'
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.made
	@echo "Installing diffnr and what its documentation needs into $(VENV) (about a minute, once)"
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.made
	@echo "Installing diffnr and what its tests need into $(VENV) (about a minute, once)"
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
