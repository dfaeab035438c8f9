"""Shared by all tests: where real data lies, and that Ctrl-C is heard."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# What runs in the background of a shell, or under nohup, ignores Ctrl-C, and so would all that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, or a skip that says how to provide it."""
    root = os.environ.get("UDSPH_DATA")
    if not root:
        pytest.skip("UDSPH_DATA is not set: it names the folder of real data sets")
    return Path(root)
