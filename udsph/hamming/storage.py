"""Errors of stored indexes."""


class FormatError(ValueError):
    """A file is damaged, truncated, or not an index; the message says what is wrong."""
