"""Every command, registered by importing its module."""

from udsph.cli import compare, completion, data, demo, encode, evaluate, extract, info, model, search, show

__all__ = [
    "compare", "completion", "data", "demo", "encode", "evaluate", "extract", "info", "model", "search", "show",
]  # fmt: skip
