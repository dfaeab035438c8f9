"""Many trainings of one plan: jobs, each a row in a folder, in several processes, continued after an interruption."""

from udsph.experiments.jobs import Job, Row, Runner, check_processes, claim

__all__ = ["Job", "Row", "Runner", "check_processes", "claim"]
