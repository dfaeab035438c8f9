"""Jobs of no weight, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Number:
    value: int

    @property
    def file(self) -> str:
        return f"number-{self.value}.json"

    @property
    def facts(self) -> dict:
        return {"value": self.value}


def numbers(*values: int) -> list[Number]:
    return [Number(value) for value in values]


@dataclass
class Square:
    """Squares numbers; some of them go wrong, each in a way of its own. ``calls`` counts within one process."""

    wrong: dict[int, str] = field(default_factory=dict)
    calls: int = 0

    def __call__(self, job: Number) -> dict:
        self.calls += 1
        how = self.wrong.get(job.value, "")
        if how == "raises":
            raise ValueError(f"no square of {job.value} in '\udcff.txt'")
        if how == "exits":
            sys.exit("enough")
        if how == "is no JSON":
            return {"square": {1, 2}}
        if how == "is killed":
            time.sleep(0.3)  # so that others run beside it
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": job.value**2, "calls": self.calls, "threads": os.environ.get("OMP_NUM_THREADS")}


class NotHere:
    """Becomes an error where it is unpickled."""

    def __call__(self, job: Number) -> dict:
        return {}

    def __reduce__(self):
        return int, ("not here",)


@dataclass
class Waits:
    """Says in which process it is, then waits for ever; not for negative numbers."""

    folder: str

    def __call__(self, job: Number) -> dict:
        if job.value > 0:
            (Path(self.folder) / f"{job.value}.pid").write_text(str(os.getpid()))
            time.sleep(600)
        return {}
