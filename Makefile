# One word per thing. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 7
ARGS ?=
# Empty means that Python keeps compiled modules: dozens of processes start in a test run, and each would compile every library again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo up modules test slow fuzz lint bench docs pictures lock clean

help:  ## list the words
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.venv/.ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

.venv/.llm: .venv/.ready requirements-llm.lock
	@$(BIN)/uv pip install --quiet --no-deps --require-hashes --python $(BIN)/python --requirement requirements-llm.lock
	@touch $@

setup: .venv/.ready  ## make .venv with the controlplane command

demo: setup  ## tell the story, then serve the dashboards (ARGS="--no-serve --json")
	@$(BIN)/controlplane demo $(ARGS)

up: setup  ## control process and dashboards on your own workspace
	@$(BIN)/controlplane up $(ARGS)

lint: setup  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

modules: .venv/.llm
	@$(BIN)/python -m pytest --collect-only --quiet > /dev/null 2>&1 || true  # compiles what every worker loads, once; the tests say what is wrong

test: .venv/.llm  ## lint and all tests (under 12 minutes on 2 cores)
	@$(MAKE) --no-print-directory --jobs=2 lint modules
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

slow: setup .venv/.llm  ## the long simulations
	$(BIN)/python -m pytest -m slow $(ARGS)

fuzz: setup  ## the tests with new random examples (make test repeats the same ones)
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

bench: setup  ## ratios measured in one run
	@$(BIN)/python -m tests.bench $(ARGS)

docs: setup  ## write the generated reference pages
	@$(BIN)/python -m jobs.reference

pictures: setup  ## take the README's pictures of the demo's pages again (needs Chromium)
	CONTROLPLANE_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/dashboards/test_pictures.py

lock: setup  ## resolve the dependencies again
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
	  --custom-compile-command "make lock" --extra dev --extra embeddings -o requirements.lock pyproject.toml requirements.in
	$(BIN)/uv pip compile --quiet --no-deps --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
	  --custom-compile-command "make lock" -o requirements-llm.lock requirements-llm.in

clean:  ## remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
