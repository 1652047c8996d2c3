# The sidecar and the webhook: one image, compiled, for any base that has Python 3.11 or newer and Debian's packages.
#
#   make image                                      docker.io's slim Python below it
#   make image BASE_IMAGE=registry.test/python:3.12 a company's own
#
# Two virtual environments of one interpreter: the first has the compiler and makes a wheel, the second has what is
# locked and that wheel, and is all that the image takes.  Nothing in it runs a shell, or writes outside of volumes.

ARG BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
# A base that brings Debian's own Python needs python3-dev and python3-venv as well.
ARG BUILD_PACKAGES="gcc libc6-dev"
# What to install: requirements-embedded.lock adds a store of its own, for one machine.
ARG LOCK=requirements-runtime.lock
# For pip, where there is a mirror.
ARG PIP_INDEX_URL
ARG PIP_CERT
ARG PIP_NO_CACHE_DIR=1
ARG PIP_DISABLE_PIP_VERSION_CHECK=1
# The base decides which Debian it is, and with it the versions.
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ${BUILD_PACKAGES} \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements-compile.lock ${LOCK} ./
RUN python3 -m venv /opt/compile \
 && /opt/compile/bin/pip install --quiet --require-hashes --only-binary :all: --requirement requirements-compile.lock \
 && python3 -m venv --without-pip /opt/sidecar \
 && /opt/compile/bin/pip --python /opt/sidecar/bin/python install --quiet --require-hashes --only-binary :all: \
      --requirement "${LOCK}"
COPY pyproject.toml setup.py README.md ./
COPY sidecar sidecar
RUN SIDECAR_COMPILE=1 /opt/compile/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/compile/bin/pip --python /opt/sidecar/bin/python install --quiet --no-deps --no-index /wheel/*.whl \
 && find /opt/sidecar -name '*.so' -exec strip --strip-debug {} +

FROM ${BASE_IMAGE}
# The authorities of upstreams, and what the init container of enforced mode sets its rules with.
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates nftables \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=build /opt/sidecar /opt/sidecar
ARG BASE_IMAGE
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="agent-sidecar" \
      org.opencontainers.image.description="Concurrency control for AI agents at the HTTP boundary" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
ENV PATH=/opt/sidecar/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1
# By number, so that a cluster can see that it is not root.
USER 65532:65532
# No folder is there until one is mounted: without its configuration the sidecar refuses to start, and passes nothing on.
ENTRYPOINT ["/opt/sidecar/bin/sidecar"]
CMD ["run", "--config", "/etc/sidecar"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["/opt/sidecar/bin/python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 9901, timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
