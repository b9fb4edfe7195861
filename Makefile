# The few commands of this project; each sets itself up in .venv from wheels alone (a stamp file makes it do so once).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# --no-compile keeps the runtime small: Python compiles what it imports, when it imports it.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary --no-compile -c constraints.txt
# One thread per process where processes already fill the cores.
SINGLE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
WORKERS ?= 2
ARGS ?=
DEMO_FLAGS ?= $(ARGS)

.PHONY: help demo test lint format map bench clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.compiled ## a simulated shop, its live store and dashboard, until Ctrl-C (DEMO_FLAGS=--headless: a minute)
	$(BIN)/aisle demo $(DEMO_FLAGS)

test: $(VENV)/.dev lint ## everything: lint, types and all tests (at most 12 minutes on 2 cores)
	$(SINGLE) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(VENV)/.dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev ## let ruff lay out the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

map: $(VENV)/.dev ## sizes of all files and functions, longest first; also renews the README's map of rooms
	$(BIN)/python -m tests.house.map --write-readme

bench: $(VENV)/.runtime ## CheckoutBench with the shipped model (ARGS="--suite solo --seeds 850000:850010")
	$(BIN)/aisle bench $(ARGS)

clean: ## remove what the commands above left, the environment included
	rm -rf $(VENV) data/demo demo-out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

# The demo runs a live store, too. The renderer is compiled once, as part of the set-up; it would otherwise delay it.
$(VENV)/.compiled: pyproject.toml constraints.txt $(wildcard openaisle/sim/render/*.py) | $(BIN)/python
	$(PIP) -e '.[service,live]'
	$(BIN)/python -m openaisle.demo.warm
	@touch $(VENV)/.runtime
	@touch $@

# Where the default index's torch brings GPU packages along, install a CPU build of torch==2.13.0 into .venv first.
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[train,tasks,viz,calibrate,service,live,postgres,stripe,openvino,dev]'
	$(PIP) --no-deps trackeval
	@touch $@ $(VENV)/.runtime
