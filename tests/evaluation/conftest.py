"""A problem that several files of tests use."""

from __future__ import annotations

import numpy as np
import pytest

from .cases import random_case


@pytest.fixture
def case():
    return random_case(np.random.default_rng(11), n_queries=9, n_items=300, width=2, density=0.2)
