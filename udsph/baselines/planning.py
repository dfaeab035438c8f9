"""What a comparison will do: which methods can learn from the data, from how many pairs, and how long."""

from __future__ import annotations

from collections.abc import Sequence

from udsph.baselines.base import counted
from udsph.baselines.registry import methods, names, without_labels
from udsph.data import Dataset
from udsph.errors import InputError
from udsph.training.plan import why_so_many


def usable(asked: Sequence[str], dataset: Dataset) -> tuple[str, ...]:
    """Those of the methods asked for that can learn from a dataset.

    Of data without labels for training, every method is those that need none; a method that was named and needs them is
    an error.

    Raises
    ------
    InputError
        If a method needs labels and the training pairs have none.
    """
    if dataset.supervised[dataset.splits["train"]].any():
        return tuple(asked)
    needing = [name for name in asked if name not in without_labels()]
    if needing and set(asked) != set(names()):
        verb = "needs" if len(needing) == 1 else "need"
        raise InputError(
            f"{', '.join(needing)} {verb} labels, and the training pairs of {dataset.name} have none; without labels: "
            f"{', '.join(without_labels())}"
        )
    return tuple(name for name in asked if name not in needing)


def learning(asked: Sequence[str], dataset: Dataset) -> list[str]:
    """Lines that say which methods are left out, and which learn from a part of the pairs."""
    return [*_left_out(asked, dataset), *_from_a_part(asked, dataset)]


def _left_out(asked: Sequence[str], dataset: Dataset) -> list[str]:
    left = [name for name in asked if name not in usable(asked, dataset)]
    return [f"left out, since they need labels and the training pairs have none: {', '.join(left)}"] if left else []


def _from_a_part(asked: Sequence[str], dataset: Dataset) -> list[str]:
    train = dataset.splits["train"]
    labelled = int(dataset.supervised[train].sum())
    needing = [name for name in usable(asked, dataset) if name not in without_labels()]
    if not needing or labelled == len(train):
        return []
    steps = " in as many steps" if any(methods()[name].kind == "deep" for name in needing) else ""
    return [
        f"of {len(train):,} training pairs {labelled:,} have labels for training; from these alone{steps} learn: "
        f"{', '.join(needing)}"
    ]


def remarks(asked: Sequence[str], dataset: Dataset, *, epochs: int, chosen: bool, batch_size: int = 128) -> list[str]:
    """What :func:`learning` says, and for how long the deep methods learn.

    Parameters
    ----------
    asked
        Names of all methods that were asked for.
    epochs
        Of the deep methods.
    chosen
        Whether the number follows from the data, since none was asked for.
    batch_size
        Pairs of a batch.
    """
    lines, pairs = _left_out(asked, dataset), len(dataset.splits["train"])
    if any(methods()[name].kind == "deep" for name in usable(asked, dataset)):
        why = why_so_many(dataset.image, dataset.text, pairs, batch_size) if chosen else ""
        lines.append(f"deep methods: {pairs:,} pairs, {counted(epochs, 'epoch')}{f' ({why})' if why else ''}")
    return [*lines, *_from_a_part(asked, dataset)]
