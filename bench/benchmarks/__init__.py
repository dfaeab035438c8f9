"""Benchmarks for asv; ``bench/README.md`` says how to run them."""
