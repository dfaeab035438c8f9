"""Plugins for pytest that put this package behind the names of other libraries, so that their own tests hold it.

Nothing of those libraries is kept here: install or check one out elsewhere and run its tests with the plugin, from the
root of this project, for example ::

    python -m pytest -p tests.suites.adapters.scikit_learn --pyargs sklearn.metrics.tests.test_ranking -k "dcg"
    python -m pytest -p tests.suites.adapters.ranx RANX/tests/unit/ranx/metrics_test.py
    python -m pytest -p tests.suites.adapters.torchmetrics TORCHMETRICS/tests/unittests/retrieval -k "not gpu"
    python -m pytest -p tests.suites.adapters.trec_eval PYTREC_EVAL/tests/pytrec_eval_tests.py
    python -m pytest -p tests.suites.adapters.faiss_binary FAISS/tests/test_index_binary.py -k "BinaryFlat or Replicas"
    python -m pytest -p tests.suites.adapters.faiss_binary FAISS/tests/test_binary_io.py -k BinaryFlat

``SUITES_BY=codes`` gives torchmetrics' rankings as codes instead of scores, to the backend that ``UDSPH_BACKEND``
names; ``SUITES_WITHOUT_NUMBA=1`` takes the metrics in plain NumPy.
"""

import os

import udsph.compiled

if os.environ.get("SUITES_WITHOUT_NUMBA"):
    udsph.compiled.HAVE_NUMBA = False

BY_CODES = os.environ.get("SUITES_BY") == "codes"
