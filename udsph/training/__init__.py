"""Training: configuration, losses, trainer, the run folder, and :class:`UDSPH`.

Read ``objective.py`` for what is minimised, ``trainer.py`` for the order in which, ``run.py`` for what lies in a
run folder.
"""

from udsph.training.config import Config
from udsph.training.estimator import UDSPH
from udsph.training.evaluate import evaluate, evaluate_run, load_run

__all__ = ["UDSPH", "Config", "evaluate", "evaluate_run", "load_run"]
