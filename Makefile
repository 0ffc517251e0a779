# Works with GNU make and Python 3.11 or newer; nothing else needs to be installed.
# `make run` and `make test` have an environment each, so the service never sees a development package.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test test-s3 test-clients test-deploy faults soak check fmt bench lock sbom audit licences clean

# make PYTHON=/path/to/python uses that one and no other.
PYTHON ?=
RUN := .venv
DEV := .venv-dev
# Arguments for pytest: make test T="tests/unit -k keys"
T ?=
# Arguments for the benchmarks: make bench B="--quick --only downloads"
B ?=

# Without bytecode every start would compile 900 modules anew in each process: 12 s instead of 3.
unexport PYTHONDONTWRITEBYTECODE

# An exported script and not a file of its own: all of the set-up stands here. Arguments: folder, lock file.
# The stamp names the lock file and the interpreter and is written last, so an interrupted set-up starts over.
define SETUP
set -eu
venv=$$1 lock=$$2 stamp=$$1/.installed
state() { cksum < "$$lock" && echo "$(PYTHON)" && "$$venv/bin/python" -VV; }
if [ -f "$$stamp" ] && [ "$$(state 2>&1)" = "$$(cat "$$stamp")" ]; then exit 0; fi

# Tried, not looked up: a version manager may leave a python3.13 that only says it is not installed.
usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do
    if "$$python" -c "$$usable" 2>/dev/null; then found=$$python; break; fi
done
if [ -z "$${found:-}" ]; then
    echo "Python 3.11 or newer with its venv module is needed (on Debian: python3-venv); or make PYTHON=..." >&2
    exit 1
fi

echo "Installing $$lock into $$venv with $$("$$found" -V); needed once, about half a minute ..." >&2
"$$found" -m venv --clear --without-pip "$$venv"
echo '*' > "$$venv/.gitignore"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_USER=0
quiet='--quiet --quiet --no-compile --no-deps --require-hashes'

# The interpreter's own pip can install into the environment, which saves the seconds of ensurepip. A recent
# pip takes 14 s where the one of Python 3.11 takes 22; where it cannot be had, any pip will do.
pip="$$found -m pip --python $$venv/bin/python"
$$pip --version >/dev/null 2>&1 || { "$$venv/bin/python" -m ensurepip >/dev/null; pip="$$venv/bin/python -m pip"; }
echo 'pip==26.3 --hash=sha256:f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13' > "$$venv/pip.txt"
if $$pip install $$quiet -r "$$venv/pip.txt" 2>/dev/null; then pip="$$venv/bin/python -m pip"; fi

# The lock is complete and every file in it is checked, so nothing is left to resolve (--no-deps). Bytecode is
# made at the first start, for the quarter of all modules that is really imported (--no-compile).
$$pip install $$quiet -r "$$lock"
state > "$$stamp" 2>&1
endef
export SETUP

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

run: ## start the whole service on this machine (settings: .env.example)
	@sh -c "$$SETUP" setup $(RUN) requirements/worker.txt
	@exec $(RUN)/bin/python -m media_service.cli up

test: ## run the tests; T="..." is passed to pytest
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m pytest $(T)

test-s3: ## the storage contract on OpenStack Swift, from Debian's packages
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m tests.support.swift_server

test-clients: ## unmodified clients of others, from npm, against the API
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@npm ci --prefix tests/clients --no-audit --no-fund --silent
	@exec $(DEV)/bin/python -m pytest tests/clients

test-deploy: ## the service under gunicorn and nginx, and the files of infra/, by Debian's nginx and systemd
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m tests.support.deployment

faults: ## every fault of the matrix and a short soak; writes docs/reference/faults.md
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m pytest tests/faults -m "slow or not slow" --fault-table docs/reference/faults.md

soak: ## faults at random, ten minutes on each configuration; writes docs/reference/soak.md
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m pytest tests/faults/test_soak.py -m slow --soak-seconds 600 \
		--soak-report docs/reference/soak.md

check: ## lint, format, types, import rules, migrations
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	$(DEV)/bin/python -m ruff check
	$(DEV)/bin/python -m ruff format --check
	$(DEV)/bin/python -m mypy
	$(DEV)/bin/lint-imports
	MEDIA_DATA_DIR=build/check MEDIA_DATABASE_URL= $(DEV)/bin/python -m media_service.cli migrate --check

fmt: ## format the code and fix what can be fixed by itself
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	$(DEV)/bin/python -m ruff format
	$(DEV)/bin/python -m ruff check --fix

bench: ## measure the service; B="--quick --only downloads" is passed on
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m tests.benchmarks $(B)

COMPILE = $(DEV)/bin/python -m uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header pyproject.toml $(U)

lock: ## write requirements/ anew from pyproject.toml; U=--upgrade takes newer versions
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	$(COMPILE) -o requirements/base.txt
	$(COMPILE) --extra prod -o requirements/api.txt
	$(COMPILE) --extra worker -o requirements/worker.txt
	$(COMPILE) --extra worker --extra prod -o requirements/prod.txt
	$(COMPILE) --extra worker --extra dev -o requirements/dev.txt
	$(filter-out pyproject.toml,$(COMPILE)) --group audit -o requirements/audit.txt

AUDIT := .venv-audit

sbom: ## what is in both images, as CycloneDX: build/sbom
	@sh -c "$$SETUP" setup $(AUDIT) requirements/audit.txt
	@mkdir -p build/sbom
	@for image in api worker; do \
		$(AUDIT)/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
			--output-reproducible --of JSON -o build/sbom/$$image.cdx.json requirements/$$image.txt || exit 1; \
	done

audit: ## known holes in what is in both images; fails where the registry does not tell
	@sh -c "$$SETUP" setup $(AUDIT) requirements/audit.txt
	@exec $(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes \
		-r requirements/api.txt -r requirements/worker.txt

licences: ## write docs/reference/licences.md anew, of what the lock files name
	@sh -c "$$SETUP" setup $(DEV) requirements/dev.txt
	@exec $(DEV)/bin/python -m tests.support.licences docs/reference/licences.md

clean: ## remove environments and caches; the service's data stays
	rm -rf $(RUN) $(DEV) $(AUDIT) build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find media_service workers tests -name __pycache__ -type d -prune -exec rm -rf {} +
