"""Tests of udsph.attention: a package, so that they share ``batches``."""
