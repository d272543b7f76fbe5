# make demo   set everything up and serve it on http://127.0.0.1:8080   (PORT=, CAMERAS=, ARGS=--once)
# make test   set everything up and run all tests                       (JOBS=, ARGS=… goes to pytest)
# make test ARGS=--every-server   the same, with every test on Debian's PostgreSQL too; half as long again
# make soak   kill senders and the database under 100,000 prompts, 50 times
# make soak-queue   ten million changes of state through the queue; whatever grew fails it
# make soak-record  100,000 leaves of the record by 8 writers that are killed, then every proof; some minutes
# make bench-report   compare with all other spatial indexes, write bench/README.md's tables and plot (ARGS=--help)

PYTHON  ?= python3
PORT    ?= 8080
CAMERAS ?= 1000000
JOBS    ?= auto
ARGS    ?=

VENV := .venv
BENCH_VENV := .venv-bench
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --no-input
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: demo test soak soak-queue soak-record lint types bench bench-peers bench-dispatch bench-record bench-report bench-large lock openapi clean
.DELETE_ON_ERROR:

demo: $(VENV)/.run
	$(BIN)/geodispatch demo --port $(PORT) --cameras $(CAMERAS) $(ARGS)

# Each worker has servers and databases of its own; whoever is done takes tests over from the others.
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal $(ARGS)

# The crash test at full size: 100,000 prompts, 4 senders, 50 kills; some minutes. SEED= plays another one.
soak: $(VENV)/.dev
	GEODISPATCH_SOAK=1 $(BIN)/python -m pytest -s tests/flow/test_crash.py $(ARGS)

# Claims, tries, settling, expiry and pruning until ten million prompts changed their state; some minutes.
soak-queue: $(VENV)/.dev
	GEODISPATCH_SOAK=1 $(BIN)/python -m pytest -s tests/flow/test_swelling.py -k ten_million $(ARGS)

# 100,000 leaves of the record by 8 writers, killed all along; then every proof by the naive specification; some minutes.
soak-record: $(VENV)/.dev
	GEODISPATCH_SOAK=1 $(BIN)/python -m pytest -s tests/flow/test_record_crash.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/geodispatch bench --benchmark-columns=min,median,rounds $(ARGS)

# The other indexes live in an environment of their own: they are large, and nothing else needs them.
bench-peers: $(BENCH_VENV)/.peers

# 100 million cameras; asks for 12 GiB of memory and 2 GB of disk.
bench-large: $(VENV)/.dev
	$(BIN)/python -m bench.large_build $(ARGS)

# Prompts through the queue, beside PostgreSQL's own limits and two job queues; writes bench/dispatch.md's tables.
bench-dispatch: $(BENCH_VENV)/.peers
	$(BENCH_VENV)/bin/python -m bench.dispatch.report $(ARGS)

# Submissions with the public record and without; bench/record.md has what came out.
bench-record: $(VENV)/.dev
	$(BIN)/python -m bench.record_rate $(ARGS)

bench-report: $(BENCH_VENV)/.peers
	$(BENCH_VENV)/bin/python -m bench.report $(ARGS)

# The contract in git, written anew from the models.
openapi: $(VENV)/.dev
	$(BIN)/geodispatch openapi > geodispatch/web/openapi.json

lock: $(VENV)/.dev
	$(COMPILE) --extra demo --extra preview --group build pyproject.toml -o requirements.txt
	$(COMPILE) --extra arrow --extra demo --extra preview --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(COMPILE) --extra demo --group build --group peers -c requirements-dev.txt pyproject.toml -o requirements-bench.txt

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "geodispatch needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements-dev.txt
	touch $@

$(BENCH_VENV)/.peers: requirements-bench.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --no-input install --require-hashes -r requirements-bench.txt
	$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) $(BENCH_VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
