# make demo    phantom, prediction and pictures into demo/
# make test    linters, types and tests, these file by file on WORKERS processes (default 2)
# make pictures   the README's pictures, into Resources/Screenshots
# make bench   accuracy, speed and memory on the OpenKBP cases (needs their folder, see Testing/benchmarks)
# Each sets itself up in .venv.  PYTHON picks the interpreter (3.11 to 3.13); PIP_FLAGS is handed to pip, for example to take CPU-only builds of PyTorch:
#   make test PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_FLAGS ?=
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench pictures clean

demo: $(READY)
	$(BIN)/python Testing/demo.py

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder Testing

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	@for benchmark in Testing/benchmarks/bench_*.py; do $(BIN)/python $$benchmark || exit 1; done

pictures: $(READY)
	$(BIN)/python Testing/pictures.py

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed and $(PYTHON) is `$(PYTHON) --version 2>&1`; say which to use, for example: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_FLAGS) -r requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@
