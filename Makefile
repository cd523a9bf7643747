# One place for every command that a person or CI types.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STUBS := .stubs/.ready
# A file's tests stay together: they share boards. Files come in the order of tests/conftest.py.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

# What `make long` draws from.
SEED ?= 1

.PHONY: help demo test whole quick long lint install clean
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: $(READY) ## the main job: learn nine Braille words on the emulated board, and verify it
	@$(BIN)/madem demo

test: lint whole ## lint and all tests

whole: $(READY) ## all tests
	$(BIN)/pytest $(PARALLEL)

quick: $(READY) ## the quick tests
	$(BIN)/pytest $(PARALLEL) -m "not slow and not long"

long: $(READY) ## longer proofs, drawn from SEED=1
	MADEM_SEED=$(SEED) $(BIN)/pytest $(PARALLEL) -m long

lint: $(READY) $(STUBS) ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pyright --project firmware
	$(BIN)/lint-imports
	cd firmware && PYTHONPATH=. ../$(BIN)/lint-imports importlinter.toml --no-cache

install: $(READY) ## set up .venv

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	# Only for the recordings inside, which `motions` reads: no compiler comes with it.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'aeon>=1.0,<2'
	@touch $@

# Kept out of the environment and out of `typings`: the stubs shadow the
# standard library, which must happen for firmware/ only.
$(STUBS): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --target .stubs micropython-rp2-stubs==1.29.0.post1
	@touch $@

clean: ## remove what make and the commands made
	rm -rf $(VENV) .stubs build *.egg-info madem-out
