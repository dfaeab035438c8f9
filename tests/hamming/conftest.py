"""Every operation is held against the reference at every backend and instruction-set level that this machine has."""

import os

import pytest

from udsph.hamming import backend


def engines() -> list[str]:
    """Names like "native-avx2", "numba", "numpy"."""
    names = backend.available()
    found = [name for name in names if name != "native"]
    if "native" in names:
        backend.use("native")
        found = [f"native-{level}" for level in backend.simd_levels()] + found
        backend.use(None)
    return found


@pytest.fixture(params=engines())
def engine(request):
    """Run the test once per engine."""
    name, _, level = request.param.partition("-")
    backend.use(name)
    before = backend.simd_level()
    if level:
        backend.module().set_level(level)
    yield request.param
    if level:
        backend.module().set_level(before)
    backend.use(None)


@pytest.fixture(autouse=True, scope="session")
def native_where_required():
    """CI must not pass because the extension silently failed to build."""
    if os.environ.get("UDSPH_REQUIRE_NATIVE", "0") not in ("", "0"):
        assert "native" in backend.available()
