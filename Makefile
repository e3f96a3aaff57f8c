# Each target works from a bare checkout with Python 3.11+ and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
MANAGE := $(RUN) manage.py

.PHONY: help setup setup-dev browser demo run test bench lint format requirements clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "MSM needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" -V). Install one, or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV) || \
	  { echo "Python's venv module is incomplete here; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.made
	@echo "setup: installing the pinned requirements into $(VENV)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "setup: installing the test and lint tools into $(VENV)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.installed  ## create .venv with the pinned requirements

setup-dev: $(VENV)/.installed-dev  ## the same, with test and lint tools

demo: setup  ## the main job end to end on real prices
	@$(MANAGE) load_demo

run: setup  ## web, worker and beat in the foreground; Ctrl-C stops them
	@$(MANAGE) run_msm

browser: setup-dev
	@bash tests/browser/install_chromium.sh

test: setup-dev browser  ## the whole suite, browser tests included
	@$(RUN) -m pytest -n 3 --dist loadgroup $(ARGS)

bench: setup-dev  ## every script in benchmarks/, ratios side by side
	@$(RUN) -m benchmarks

lint: setup-dev  ## style, types, import floors, migrations, deployment checks, OpenAPI drift
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(VENV)/bin/lint-imports
	@$(RUN) -m mypy
	@$(MANAGE) makemigrations --check --dry-run
	@bash tests/deploy_check.sh
	@$(MANAGE) spectacular --validate --fail-on-warn --file /tmp/msm-openapi-$$$$.yaml && \
	  { diff -u docs/reference/openapi.yaml /tmp/msm-openapi-$$$$.yaml; status=$$?; rm -f /tmp/msm-openapi-$$$$.yaml; \
	    [ $$status -eq 0 ] || { echo "docs/reference/openapi.yaml is stale; make format renews it"; exit 1; }; }

format: setup-dev  ## what lint asks for, done
	@$(RUN) -m ruff check --fix . ; $(RUN) -m ruff format .
	@$(MANAGE) spectacular --file docs/reference/openapi.yaml

requirements: setup  ## compile the pinned files anew from the .in files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make requirements" requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make requirements" requirements-dev.in -o requirements-dev.txt

clean:  ## stop the embedded servers and remove the environment (data stays)
	@[ ! -x $(RUN) ] || $(MANAGE) services stop
	@rm -rf $(VENV)
