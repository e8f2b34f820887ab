# What one types here. `make` alone lists it.
#
# All of it happens in .venv, which the first command that needs it makes; pyproject.toml names what goes in.
# Packages come from wherever pip is configured to look.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
SERVER := .venv/.installed-server
TOOLS := .venv/.installed-tools
CLIENTS := tests/clients/node_modules/.installed
AIOBOTOCORE := .venv/aiobotocore/.installed

.DEFAULT_GOAL := help
.PHONY: help serve setup test check bench clean

help:  ## list the commands
	@echo "make COMMAND [ARGS='...'] [PYTHON=python3.12]"
	@echo
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

serve: $(SERVER)  ## serve http://127.0.0.1:8000 from ./varley-data; ARGS='--port 8001 --in-memory'
	@exec $(BIN)/varley serve $(ARGS)

setup: $(TOOLS)  ## install Varley and everything that tests and checks need into .venv
	@echo "Varley is installed in .venv: $(BIN)/varley"

test: $(TOOLS) $(CLIENTS) $(AIOBOTOCORE)  ## run every test that must pass; ARGS='tests/aws -k put' runs some
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

check: $(TOOLS)  ## style, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_source.py

bench: $(SERVER)  ## measure beside the peers, 10 minutes; ARGS='--help' says what else
	@$(BIN)/python benchmarks/run.py $(ARGS)

clean:  ## remove .venv and caches; data folders stay
	rm -rf .venv tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

# Running needs the first, working on it the second. Each is redone when pyproject.toml has changed.
# A new version of Python under .venv is not noticed: `make clean` then.

$(SERVER): pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TOOLS): pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check]'
	@touch $(SERVER) $@

# The clients in JavaScript that tests/clients runs. Without Node.js, or without a registry, their tests are skipped and
# say what is missing (in CI they fail); the others run.

$(CLIENTS): tests/clients/package-lock.json
	@if ! command -v npm > /dev/null; then \
	  echo "Node.js is missing: the tests of clients in JavaScript will be skipped. apt install nodejs npm" >&2; \
	elif echo "Installing the JavaScript clients of tests/clients" && \
	  npm ci --prefix tests/clients --no-audit --no-fund; then touch $@; \
	else echo "npm could not install them: the tests of clients in JavaScript will be skipped" >&2; fi

# It goes with a botocore of its own, older than the one that the other tests need.

$(AIOBOTOCORE): Makefile | $(TOOLS)
	@rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --target $(@D) 'aiobotocore>=3,<4'
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Varley needs Python 3.11 or newer, and $(PYTHON) is not." >&2; \
	  echo "If a newer one is installed: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
