"""What a comparison will do: which methods can learn from the data, from how many pairs, and how long."""

from __future__ import annotations

from collections.abc import Sequence

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


def remarks(asked: Sequence[str], dataset: Dataset, *, epochs: int, chosen: bool, batch_size: int = 128) -> list[str]:
    """Lines that say what the methods learn from and for how long, where that is not plain.

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
    train = dataset.splits["train"]
    labelled, used = int(dataset.supervised[train].sum()), usable(asked, dataset)
    lines = []
    left = [name for name in asked if name not in used]
    if left:
        lines.append(f"left out, since they need labels and the training pairs have none: {', '.join(left)}")
    if any(methods()[name].kind == "deep" for name in used):
        why = why_so_many(dataset.image, dataset.text, len(train), batch_size) if chosen else ""
        lines.append(f"deep methods: {len(train):,} pairs, {epochs:,} epochs{f' ({why})' if why else ''}")
    needing = [name for name in used if name not in without_labels()]
    if needing and labelled < len(train):
        steps = " in as many steps" if any(methods()[name].kind == "deep" for name in needing) else ""
        lines.append(
            f"of {len(train):,} training pairs {labelled:,} have labels for training; from these alone{steps} learn: "
            f"{', '.join(needing)}"
        )
    return lines
