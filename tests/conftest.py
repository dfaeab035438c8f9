"""Shared by all tests: where real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, or a skip that says how to provide it."""
    root = os.environ.get("UDSPH_DATA")
    if not root:
        pytest.skip("UDSPH_DATA is not set: it names the folder of real data sets")
    return Path(root)
