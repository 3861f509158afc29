# `make setup` makes .venv in this folder; the other targets begin with it, and nothing is done again where nothing changed.
#
# On Linux, PyPI's torch brings CUDA along (several GB). Without an NVIDIA GPU, spare that by:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := $(VENV)/.extras
HARNESS := $(VENV)/.harness
# Two processes: on two cores the tests take about half as long.
JOBS ?= 2

.PHONY: setup quickstart test slow check demo-data

# What the embedded student, the quickstart, and the commands it ends with (nesycd review) need.
setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed, and none was found" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[student,serve]'
	touch $@

quickstart: setup
	$(BIN)/nesycd run recipes/quickstart.toml
	@echo "nesycd is $(BIN)/nesycd; for the commands above: . $(BIN)/activate"

# What tests and checks need: every extra but the harness.
$(EXTRAS): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[student,api,anthropic,dense,math,postgres,programs,rdf,rules,xlsx,serve,mcp,ray,dev]'
	touch $@

test: $(EXTRAS)
	$(BIN)/python -m pytest -n $(JOBS)

# lm-evaluation-harness is large (280 MB with what it needs), and only slow tests need it.
$(HARNESS): $(EXTRAS)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[harness]'
	touch $@

# The real small model on the CPU: minutes.
slow: $(HARNESS)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope -m 'slow and not alone and not gpu and not live' --timeout 900
	$(BIN)/python -m pytest -m 'alone' --timeout 900

check: $(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What `nesycd demo` shows: trained (a quarter of an hour), packed, and named by its hash. The archive is checked in.
demo-data: setup
	$(BIN)/nesycd run recipes/demo.toml
	mkdir -p build && rm -f build/demo.tar.gz
	$(BIN)/nesycd pack demo build/demo.tar.gz --method nesycd
	rm -f nesycd/demo/*.tar.gz
	mv build/demo.tar.gz nesycd/demo/$$($(BIN)/python -c \
		'import pathlib, nesycd.api.demo as demo; print(demo.digest_name(pathlib.Path("build/demo.tar.gz")))')
