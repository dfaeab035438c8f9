"""The watched cases, for asv: the least processor seconds of several calls."""

from __future__ import annotations

import os
from pathlib import Path

import udsph

from .common import SMALL, skip_unsupported_level
from .watch import CASES, processor_seconds


class Watch:
    timeout = 300
    params = (tuple(CASES),)
    param_names = ("case",)

    def setup(self, case):
        skip_unsupported_level()
        wanted = os.environ.get("ASV_PYTHONPATH")  # of bench/record.py
        if wanted and Path(wanted) not in Path(udsph.__file__).parents:
            raise RuntimeError(f"{udsph.__file__} is not of {wanted}")
        try:
            self.call = CASES[case]()
            self.call()
        except (ImportError, AttributeError, TypeError) as error:  # a release that had it not
            raise NotImplementedError(str(error)) from error

    def track_processor_seconds(self, case):
        return min(processor_seconds(self.call) for _ in range(3 if SMALL else 25))

    track_processor_seconds.unit = "s"
    track_processor_seconds.version = "1"  # results stay comparable while the cases do
