# Everything starts from nothing but python3 and make; each target does its own set-up.
.PHONY: help install upgrade demo up test e2e chaos bench reference lint format lock audit
.DEFAULT_GOAL := help

BIN := .venv/bin
INSTALLED := .venv/installed

help: ## Show this list
	@sed -n 's/^\([a-z0-9]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(INSTALLED) ## Make .venv with everything in it

# Each step with the Makefile and the program that the one before it brought.
upgrade: ## Bring program and database to the newest version, after a backup
	git pull --ff-only
	@$(MAKE) --no-print-directory install
	$(BIN)/minicourse db backup backups/
	$(BIN)/minicourse db upgrade
	@$(BIN)/minicourse doctor || { \
	  echo "The upgrade is done. What doctor marks with ✗ is worth a look, and why make ends here."; \
	  exit 3; \
	}
	@echo "The upgrade is done."

demo: $(INSTALLED) ## See a whole course in twenty seconds, without an account
	@$(BIN)/minicourse demo

up: $(INSTALLED) ## Run everything on this machine, until Ctrl-C
	@$(BIN)/minicourse up

test: $(INSTALLED) ## Run the tests, but for those of `make e2e`
	$(BIN)/pytest -m "not e2e and not whole" -n 2

e2e: $(INSTALLED) ## Run the tests that need processes, a browser or minutes
	$(BIN)/pytest -m "whole and not e2e" -n 2
	$(BIN)/pytest -m e2e

chaos: $(INSTALLED) ## Prove for minutes, under fire, that nothing is lost and nothing goes twice
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(INSTALLED) ## Measure what sending costs, beside what else one could do
	$(BIN)/python -m tests.bench $(ARGS)

reference: $(INSTALLED) ## Write docs/cli.md anew, from the commands' own help
	$(BIN)/python -m tests.reference

lint: $(INSTALLED) ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED) ## Renew requirements.lock from pyproject.toml
	$(BIN)/python -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --upgrade --universal --all-extras --generate-hashes \
		--no-emit-index-url \
		--no-annotate --no-header --output-file requirements.lock pyproject.toml

# It asks a database of known weaknesses; without a network it fails and says so.
audit: $(INSTALLED) ## Look for known weaknesses in what requirements.lock brings
	@$(BIN)/python -m venv build/audit
	@build/audit/bin/pip install --quiet pip-audit || { \
	  echo "make audit needs the network: pip-audit cannot be fetched, and nothing was looked at." >&2; \
	  exit 1; \
	}
	@build/audit/bin/pip-audit --strict --requirement requirements.lock --disable-pip || { \
	  echo "make audit found a weakness, or could not look one up: see above. Renew with: make lock" >&2; \
	  exit 1; \
	}

# The versions in requirements.lock and no others: pip refuses what does not have their hashes.
$(INSTALLED): export PIP_DISABLE_PIP_VERSION_CHECK := 1
$(INSTALLED): requirements.lock pyproject.toml
	@for python in python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=$$python; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is needed. Debian, Ubuntu: apt-get install python3 python3-venv;" \
	    "macOS: brew install python" >&2; exit 1; \
	fi; \
	if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "Python's venv is missing. Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	$(BIN)/python -c 'import pip' 2>/dev/null || { rm -rf .venv; $$found -m venv .venv; }
	@echo "Installing into .venv (once; it takes about a minute) …" >&2
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
