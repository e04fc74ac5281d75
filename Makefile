# `make install` sets everything up; run again, it does only what has changed since.

PYTHON ?= python3
BIN := .venv/bin
EMULATOR := .venv-emulator
PIP := -m pip install -qq --disable-pip-version-check --require-hashes
CODE := src infra functions tests bench examples docs

.PHONY: install format lint test long e2e bench simulate synth check demo lock pictures promises
.SILENT:

install:
	+$(MAKE) --no-print-directory --jobs=3 .venv/.installed $(EMULATOR)/.installed node_modules/.package-lock.json

.venv/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "pollbridge wants Python 3.11 or newer: make install PYTHON=python3.12"; exit 1; }
	echo "Installing pollbridge into .venv"
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) -r requirements/dev.txt
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	touch $@

$(EMULATOR)/.installed: requirements/emulator.txt
	echo "Installing the AWS emulator into $(EMULATOR)"
	$(PYTHON) -m venv $(EMULATOR)
	$(EMULATOR)/bin/python $(PIP) -r requirements/emulator.txt
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null \
		|| { echo "pollbridge wants Node.js 20 or newer, with npm: the CDK runs on it"; exit 1; }
	echo "Installing the CDK's command line into node_modules"
	npm ci --silent
	touch $@

format: install
	$(BIN)/ruff check --quiet --fix $(CODE)
	$(BIN)/ruff format --quiet $(CODE)

lint: install
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy --explicit-package-bases src infra functions
	$(BIN)/lint-imports

test: install
	$(BIN)/pytest -n 2 --dist loadfile

long: install
	$(BIN)/pytest -n 2 --dist loadfile -m long

e2e: install
	$(BIN)/pytest -m e2e

bench: install
	$(BIN)/python -m bench

simulate: install
	$(BIN)/python -m bench.simulate

synth: install
	npx cdk synth --quiet

check: lint test

demo: install
	$(BIN)/pollbridge demo

promises: install
	$(BIN)/python -m tests.promises

pictures: install
	$(BIN)/python -m docs.slack.draw

# Markers and hashes of every platform in one file each: bundles are for another Python than this one.
LOCK := .build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-package pollbridge --custom-compile-command "make lock"

lock:
	test -x .build/lock/bin/uv || { $(PYTHON) -m venv .build/lock && .build/lock/bin/python -m pip install -qq "uv>=0.13,<0.14"; }
	$(LOCK) --no-emit-package click pyproject.toml -o requirements/runtime.txt
	$(LOCK) --constraints requirements/runtime.txt --extra infra --extra dev \
		pyproject.toml requirements/build.in -o requirements/dev.txt
	$(LOCK) requirements/emulator.in -o requirements/emulator.txt
	npm install --silent --package-lock-only
	# npm writes into node_modules too, after the lock, so that `make install` would think itself done.
	touch package-lock.json
