"""Datasets: one file per layout, all returning a :class:`Dataset`."""

from udsph.data.dataset import Dataset, Modality, split_validation

__all__ = ["Dataset", "Modality", "split_validation"]
