"""Training: losses, trainer, and :class:`UDSPH`, which is a :class:`~udsph.encoding.Hasher` with ``fit``.

Read ``objective.py`` for what is minimised, ``trainer.py`` for the order in which. The configuration, the networks and
the run folder are those of ``udsph.encoding``.
"""

from udsph.errors import naming_extra

with naming_extra("udsph.training"):
    from udsph.encoding import Config
    from udsph.training.estimator import UDSPH
    from udsph.training.scoring import evaluate, evaluate_run, load_run

__all__ = ["UDSPH", "Config", "evaluate", "evaluate_run", "load_run"]
