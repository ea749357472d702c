# Two commands: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check --quiet
STATE  ?= var
SINK   ?= 127.0.0.1:2525
EXTRAS ?=
DAYS   ?= 400

.PHONY: help install run test later coverage system check docs man bench evidence kills mutants lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/.run: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Wehr needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.postgres $(VENV)/.survey $(VENV)/.chat $(VENV)/.oidc: $(VENV)/.%: requirements/%.txt $(VENV)/.run
	$(PIP) install --require-hashes -r $<
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run $(VENV)/.postgres $(VENV)/.survey $(VENV)/.chat $(VENV)/.oidc
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

install: $(VENV)/.run $(EXTRAS:%=$(VENV)/.%) ## install Wehr into .venv, starting nothing (EXTRAS='postgres survey chat oidc' for PostgreSQL, Parquet, chats, OpenID)
	@echo "Installed: $(BIN)/wehr"

run: $(VENV)/.run ## start Wehr in the foreground on its embedded default, with a sink to try it at 127.0.0.1:2525
	@exec $(BIN)/wehr serve --state $(STATE) --sink $(SINK)

system: ## install the Debian packages that the tests use (root only; says what it skips otherwise)
	@sh tests/system-packages.sh

check: $(VENV)/.dev ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.dev ## build the documentation into docs/_build
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

man: $(VENV)/.run ## make the manual pages wehr(1) and wehr.toml(5) in build/man
	$(BIN)/python docs/manpages.py build/man

evidence: $(VENV)/.dev ## agreement of the parser with labelled real messages (needs the reference data)
	$(BIN)/python bench/evidence_report.py

test: $(VENV)/.dev system check docs ## install what the tests need and pass them all
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Postfix and Sendmail clear their environment: by the true clock a client's certificate is not valid yet.
later: $(VENV)/.dev system ## the same tests without the browser, as they will go in DAYS=400 days (needs a C compiler)
	mkdir -p build
	cc -O2 -shared -fPIC -o build/later.so tests/later.c
	LATER=$(DAYS) LD_PRELOAD=$(CURDIR)/build/later.so $(BIN)/python -m pytest -n 2 --dist loadgroup --ignore=tests/browser \
	  --deselect 'tests/mta/test_milter_sessions.py::test_only_a_verified_certificate_is_identity'

coverage: $(VENV)/.dev system ## the same tests, and which lines and branches none of them reached (slower)
	$(BIN)/python -m pytest --cov --cov-report=term -n 2 --dist loadgroup

kills: $(VENV)/.dev system ## kill processes at random moments under load, 50 times per engine, and count both sides
	WEHR_TEST_KILLS=50 $(BIN)/python -m pytest -s tests/service/test_killed.py \
	  tests/ledger/test_carrier.py::test_killed_processes_leave_exactly_what_was_answered

$(VENV)/.mutants: requirements/mutants.txt $(VENV)/.dev
	$(PIP) install --require-hashes -r requirements/mutants.txt
	@touch $@

mutants: $(VENV)/.mutants ## change the policy and the merge rules line by line: which change does no test notice?
	WEHR_HYPOTHESIS=mutants $(BIN)/mutmut run
	$(BIN)/mutmut results

bench: $(VENV)/.dev ## measure milter door, parser, SMTP proxy and messages through Postfix against their peers (bench/README.md has the other benches)
	sh bench/run.sh

lock: ## compile requirements/*.txt anew (needs uv)
	cd requirements && for set in run dev postgres survey chat oidc mutants bench; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links -o $$set.txt $$set.in; done

clean: ## remove what was installed and built
	rm -rf $(VENV) mutants build dist .coverage .mypy_cache .pytest_cache .ruff_cache
