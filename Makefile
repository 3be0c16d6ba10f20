# `make run` and `make test` need Python 3.11 or later and make; the rest they install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINOR := 'import sys; print("%d.%d" % sys.version_info[:2])'
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# What `make test` and `make coverage` run, and in how many processes at a time. In the order of
# tests/conftest.py: xdist's own has files of many tests first, and those of few are the longest.
TESTS ?=
JOBS ?= 2
# Options of `make storm`: --rounds N, --seed N, --postgres.
STORM ?=
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

# What runs in a notebook, on a Python that may be older than the server's.
CLIENT := tabpy/tabpy_tools tabpy/check tabpy/models $(wildcard tabpy/commands/*deploy*.py) tabpy/commands/check.py tabpy/commands/size.py tabpy/sizing.py

# All but what runs on Linux alone: there mypy finds what another system doesn't have.
LINUX := workers/fork_server(?!/environment)|worker/(confinement|landlock|seccomp|tables|request_body)\.py|processes/(gunicorn_|flight_)|/flight/|/memfd|/ray/
PORTABLE := --follow-imports silent --exclude '$(LINUX)' tabpy

.PHONY: run test coverage lint audit fuzz storm ray bench replay clean usable

run: $(VENV)/installed
	@$(BIN)/tabpy --one-time-password

test: $(VENV)/installed-dev
	$(PYTEST)

# Which lines ran, in all processes. `make coverage TESTS=tests/access` runs a part.
coverage: $(VENV)/installed-dev
	rm -rf build/coverage
	mkdir -p build/coverage
	PYTHONPATH=$(CURDIR)/tests/measured $(PYTEST)
	$(BIN)/coverage combine --quiet build/coverage
	$(BIN)/coverage report

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 $(CLIENT)
	$(BIN)/mypy --platform darwin $(PORTABLE)
	$(BIN)/mypy --platform win32 $(PORTABLE)

# Known vulnerabilities of what a dyno installs, and patterns of unsafe code. Asks PyPI.
audit: $(VENV)/installed-audit
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive tabpy models
	$(BIN)/python -m tests.audit

# For hours, if you like: other examples in each run, and very many.
fuzz: $(VENV)/installed-dev
	HYPOTHESIS_PROFILE=long $(PYTEST) -k fuzz

# The tests of scripts and functions with a Ray cluster of their own.
ray: $(VENV)/installed-dev
	$(BIN)/python -m tests.ray

# Kills random processes of a server under load: `make storm STORM="--rounds 50 --postgres"`.
storm: $(VENV)/installed-dev
	$(BIN)/python -m tests.storm $(STORM)

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks

# Where replies differ from TabPy's, and why.
replay: $(VENV)/installed-dev
	$(BIN)/python -m tests.compat.replay

clean:
	rm -rf $(VENV)

$(VENV)/installed: requirements.txt pyproject.toml | usable
	@echo "Installing into $(VENV); the first time takes a minute or two."
	@test -e $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt -e .
	@touch $@

# An environment keeps the Python that it was made with: that one is looked at, and another one that
# somebody names is no longer heard.
usable:
	@python=$(PYTHON); test ! -e $(VENV) || python=$(BIN)/python; \
	$$python -c "" || { echo "$$python doesn't run. If it is that of $(VENV): make clean, then the same again." >&2; exit 2; }; \
	$$python -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; " + sys.argv[1] + " is " + sys.version.split()[0] + ". Name another: make clean, then make PYTHON=python3.13 ...")' $$python
ifneq ($(origin PYTHON),file)
	@test ! -e $(VENV) || { has=$$($(BIN)/python -c $(MINOR)); given=$$($(PYTHON) -c $(MINOR)); test "$$has" = "$$given"; } || \
	{ echo "$(VENV) has Python $$has, and $(PYTHON) is $$given: make clean, then the same again." >&2; exit 2; }
endif

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) -e '.[test,lint]'
	@touch $@

$(VENV)/installed-audit: $(VENV)/installed
	@$(PIP) -e '.[audit]'
	@touch $@
