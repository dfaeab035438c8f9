"""What tests of several files of this folder share."""

import pytest

from udsph.hamming.collection import importing
from udsph.hamming.collection.formats import batches, rows


@pytest.fixture
def small_steps(monkeypatch):
    """Imports and exports of a few thousand codes take several steps."""
    monkeypatch.setattr(batches, "BATCH", 700)
    monkeypatch.setattr(rows, "_STEP", 700)
    monkeypatch.setattr(importing, "MOST_UNCOMMITTED", 16 * 1500)
