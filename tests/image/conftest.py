"""Fixtures for tests of the image that ``make test-image`` built."""

import os
from collections.abc import Iterator

import pytest

from tests.image.bundle import Image, unpacked


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    with unpacked(os.environ["SIDECAR_IMAGE"]) as it:
        yield it
