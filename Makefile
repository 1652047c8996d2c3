# From a fresh clone, `make demo` and `make test` need Python >= 3.11 and make; everything else they set up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.ready

COMPILED := build/compiled/.ready

.PHONY: help demo test test-compiled test-apiserver check compiled format bench soak lock clean

help:
	@echo "make demo            colliding agents, without and with sidecars, counted at the tools"
	@echo "make test            the whole suite (make check first)"
	@echo "make test-compiled   what every call passes through, compiled, under the same tests"
	@echo "make test-apiserver  the webhook registered with a real API server, which is built first"
	@echo "make check           format, lint, types, architecture"
	@echo "make bench           figures against Envoy and a naive proxy"
	@echo "make soak            the long fault and soak runs"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --editable .
	touch $@

# What every call passes through, as C: the same Python, typed, through mypyc.  A minute and a half, and a C compiler.
$(COMPILED): $(READY) setup.py $(shell find sidecar -name '*.py' -o -name '*.lua')
	rm -rf build
	SIDECAR_COMPILE=1 $(PIP) install --no-deps --no-build-isolation --target build/compiled .
	touch $@

compiled: $(COMPILED)

demo: $(READY)
	$(BIN)/sidecar demo

test: check
	tests/tools.sh
	$(BIN)/python -m pytest -q -m "not slow"

# Safe path, absolute PYTHONPATH: the compiled package first, for the tests and for every process that they start.
test-compiled: $(COMPILED)
	tests/tools.sh
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/compiled:$(CURDIR) $(BIN)/python -m pytest -q -m "not slow" \
	  tests/core tests/gate tests/telemetry tests/wire tests/e2e tests/test_pipeline.py

# Kubernetes' API server from Debian's source: five minutes, once.  It is put into .tools/.
test-apiserver: $(READY)
	tests/apiserver/build.sh
	$(BIN)/python -m pytest -q tests/apiserver/scenes.py

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(COMPILED)
	tests/tools.sh
	$(BIN)/python -m bench
	$(BIN)/python -m bench --waiting
	$(BIN)/python -m bench.tls

soak: $(READY)
	tests/tools.sh
	$(BIN)/python -m pytest -q -m slow

# The lock holds hashes and no addresses, so any index that serves the same files will do.
lock: $(READY)
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --extra embedded --group dev --group bench --upgrade pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
