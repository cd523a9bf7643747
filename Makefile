# One place for every command that a person or CI types.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STUBS := .stubs/.ready
# A file's tests stay together: they share boards. Files come in the order of tests/conftest.py.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test whole quick lint install clean
demo: $(READY)
	@$(BIN)/madem demo

test: lint whole

whole: $(READY)
	$(BIN)/pytest $(PARALLEL)

quick: $(READY)
	$(BIN)/pytest $(PARALLEL) -m "not slow"

lint: $(READY) $(STUBS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pyright --project firmware

install: $(READY)

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

clean:
	rm -rf $(VENV) .stubs build *.egg-info madem-out
