"""What the deep methods share: the encoders of ``udsph.models``, one training loop, codes from one modality.

A method is a subclass with ``_losses`` (the losses of one batch by name) and, where it needs more than the two modality
networks, ``_prepare``. The pieces of the loop (batches, augmentation, statistics, schedule) are those of
``udsph.training``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from udsph.baselines.base import Kind, Method, counted, log
from udsph.baselines.inputs import AT_LEAST_1, NOT_NEGATIVE, Range, check_labels, check_view
from udsph.data import Modality
from udsph.data.directions import MODALITIES
from udsph.encoding import Config
from udsph.encoding.batches import read, sequence, spec_of
from udsph.encoding.hasher import PRECISIONS
from udsph.encoding.inputs import Inputs
from udsph.encoding.items import as_modality as as_rows
from udsph.errors import InputError
from udsph.hamming import pack
from udsph.models import ModalityPair, Outputs, build_modality
from udsph.training.batches import augment, number_of_pieces, pieces, statistics
from udsph.training.launch import launch, undisturbed
from udsph.training.phase import GRADIENT_NORM
from udsph.training.plan import default_epochs, why_so_many
from udsph.training.schedule import one_cycle

PART_WIDTH = 64


class Batch(NamedTuple):
    """Outputs of both networks for some pairs, their labels and their row numbers among the fitted pairs."""

    image: Outputs
    text: Outputs
    labels: Tensor
    rows: Tensor


class DeepMethod(Method):
    """A method on the networks of ``udsph.models``, trained by AdamW with one cycle of the learning rate.

    Every deep method gets the same encoders, optimiser, number of epochs and batch size as UDSPH, so that the
    comparison is one of objectives. No method looks at anything but the pairs that it is fitted on.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of weights, order and augmentation.
    epochs
        Passes over the pairs; 0 chooses by the kind and the amount of data, as UDSPH does. Where a supervised method
        learns from the pairs with labels only, these get as many passes as make the same number of steps.
    batch_size, learning_rate, weight_decay
        Of the optimiser.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
    precision
        Of the networks while training: ``32-true``, or ``bf16-mixed``, which is faster where the processor or the GPU
        multiplies bfloat16. Losses, weights and codes are float32 in either case.
    """

    kind: ClassVar[Kind] = "deep"
    supervised: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "epochs": Range(0, whole=True),
        "batch_size": AT_LEAST_1,
        "learning_rate": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
    }

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        epochs: int = 0,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        device: str = "auto",
        precision: str = "32-true",
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.device = device
        self.precision = precision

    # -- what a method says ---------------------------------------------------------------------------------------

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        """Networks besides the two modality networks that are trained with them."""
        return nn.Module()

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch; their sum is minimised."""
        raise NotImplementedError

    def _finish(self, image: Modality, text: Modality) -> None:
        """What is left to do with the pairs that were learnt from, once the networks are trained."""

    # -- the loop -------------------------------------------------------------------------------------------------

    def fit(self, images: Any, texts: Any, labels: Any = None) -> DeepMethod:
        """Learn from pairs; the parameters are those of :meth:`udsph.baselines.base.ShallowMethod.fit`.

        Raises
        ------
        InputError
            For views of different length, NaN, missing labels, fewer than four pairs.
        FloatingPointError
            If a loss stops being finite.
        """
        self._check_settings()
        image, text = as_modality(images, "images"), as_modality(texts, "texts")
        for modality, name in ((image, "images"), (text, "texts")):
            check_varied(modality, name)
        if len(image) != len(text):
            raise InputError(f"{len(image)} images but {len(text)} texts; row i of both must be one pair")
        pairs, known = len(image), self._labelled(labels, len(image))
        if known is not None:
            image, text, labels = image.take(known), text.take(known), np.asarray(labels)[known]
        if len(image) < 4:
            what = "pairs" if known is None else "pairs with labels"
            raise InputError(f"{len(image)} {what} are too few for a deep method; give at least 4")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision}: expected one of {', '.join(PRECISIONS)}")
        wanted = check_labels(labels, len(image)) if self.supervised else None
        self.epochs_ = self._planned(image, text, pairs)
        self.device_ = launch(Config(device=self.device)).device
        with undisturbed(self.device_):
            torch.manual_seed(self.random_state)
            self._build(image, text, wanted)
            self._train(image, text, wanted)
        self.fitted_ = True
        self._finish(image, text)
        return self

    def _planned(self, image: Modality, text: Modality, pairs: int) -> int:
        """Passes over the pairs to learn from, in as many steps as ``pairs`` would take; it is logged."""
        size = self.batch_size
        chosen = "" if self.epochs else why_so_many(image, text, pairs, size)
        epochs = self.epochs or default_epochs(image, text, pairs, size)
        steps = number_of_pieces(len(image), size)
        if len(image) < pairs:
            epochs = as_many_steps(epochs, pairs, len(image), size)
            chosen = f"as many steps as {pairs:,} pairs would take"
        why = f" ({chosen})" if chosen else ""
        log.info(
            f"{type(self).__name__}: {len(image):,} pairs, {counted(epochs, 'epoch')} of {counted(steps, 'step')}{why}"
        )
        return epochs

    def _build(self, image: Modality, text: Modality, labels: np.ndarray | None) -> None:
        self.specs_ = {"image": spec_of(image), "text": spec_of(text)}
        self.classes_ = 1 if labels is None else labels.shape[1]
        self.single_label_ = labels is not None and bool((labels.sum(1) == 1).all())
        self.pair_ = self._networks(image, text)
        self.extra_ = self._prepare(image, text, labels).to(self.device_)

    def _networks(self, image: Modality, text: Modality) -> ModalityPair:
        """A fresh pair of modality networks with the statistics of the data in place."""
        pair = ModalityPair(
            *(
                build_modality(self.specs_[view], view, self.bits, self.classes_, part_width=PART_WIDTH, parts=0)
                for view in MODALITIES
            )
        )
        for network, modality in ((pair.image, image), (pair.text, text)):
            found = statistics(modality, np.arange(len(modality)))
            if found is not None:
                network.encoder.set_statistics(*found)  # type: ignore[operator]
        return pair.to(self.device_)

    def _train(self, image: Modality, text: Modality, labels: np.ndarray | None) -> None:
        modules = nn.ModuleList([self.pair_, self.extra_])
        optimiser = torch.optim.AdamW(
            modules.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        rng = np.random.default_rng(self.random_state)
        epochs = self.epochs_
        marks = np.zeros((len(image), 1)) if labels is None else labels
        self.history_: list[float] = []
        for epoch in range(epochs):
            modules.train()
            total = 0.0
            batches = pieces(rng.permutation(len(image)), self.batch_size)
            for k, rows in enumerate(batches):
                self.progress_ = (epoch + k / len(batches)) / epochs
                for group in optimiser.param_groups:
                    group["lr"] = self.learning_rate * one_cycle(self.progress_)
                found = torch.stack(list(self._losses(self._batch(image, text, marks, rows)).values())).sum()
                if not torch.isfinite(found):
                    raise FloatingPointError(f"{type(self).__name__}: the loss is {float(found)} in epoch {epoch + 1}")
                optimiser.zero_grad()
                found.backward()
                nn.utils.clip_grad_norm_(modules.parameters(), GRADIENT_NORM)
                optimiser.step()
                total += float(found.detach()) / len(batches)
            self.history_.append(total)

    def _batch(self, image: Modality, text: Modality, labels: np.ndarray, rows: np.ndarray) -> Batch:
        image_rows, text_rows = read(image, rows, self.device_), read(text, rows, self.device_)
        if image.kind == "pixels":
            image_rows = augment(image_rows[0]), image_rows[1]
        marks = torch.from_numpy(labels[rows]).float().to(self.device_)
        image_outputs, text_outputs = self._forward(self.pair_, image_rows, text_rows)
        return Batch(image_outputs, text_outputs, marks, torch.from_numpy(rows).to(self.device_))

    def _forward(self, pair: nn.Module, image_rows: Any, text_rows: Any) -> tuple[Outputs, Outputs]:
        """What a pair of networks says of a batch: computed in the precision that was asked for, given as float32."""
        with torch.autocast(self.device_.type, torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            image, text = pair(image_rows, text_rows)
        return _as_float(image), _as_float(text)

    # -- codes ----------------------------------------------------------------------------------------------------

    def encode_image(self, images: Any) -> np.ndarray:
        """Packed codes of images alone: uint8 ``(n, ceil(bits / 8))``."""
        return pack(self._project("image", images))

    def encode_text(self, texts: Any) -> np.ndarray:
        """Packed codes of texts alone: uint8 ``(n, ceil(bits / 8))``."""
        return pack(self._project("text", texts))

    def _project(self, view: str, items: Any) -> np.ndarray:
        """One real number per bit, whose sign is the bit: float32 ``(n, bits)``."""
        self._check_fitted()
        spec = self.specs_[view]
        if spec.kind == "vectors":
            modality = as_modality(items, f"{view}s", empty=True)
        else:  # as every model of the package reads them: pictures of another size are resized
            modality, _ = as_rows(items, view, spec, Inputs())
        if modality.kind != spec.kind or (spec.kind != "tokens" and modality.shape[-1:] != spec.shape[-1:]):
            raise InputError(
                f"{view}s: {modality.kind} of shape {modality.shape}, but the method was fitted on "
                f"{spec.kind} of {spec.shape}; columns and kind must agree"
            )
        if len(modality) == 0:
            return np.empty((0, self.bits), np.float32)
        if spec.kind == "tokens" and isinstance(modality.values, np.ndarray):
            largest = modality.values.max(initial=0)
            if largest >= spec.vocabulary:
                raise InputError(f"{view}s: token {largest}, but the method was fitted on {spec.vocabulary} words")
        network = getattr(self.pair_, view).eval()
        with torch.no_grad():
            found = [
                self._logits(view, network(*rows)) for rows in sequence(modality, rows_of(modality), 512, self.device_)
            ]
        return torch.cat(found).float().cpu().numpy()

    def _logits(self, view: str, outputs: Outputs) -> Tensor:
        return outputs.code_logits


def as_many_steps(epochs: int, pairs: int, learnt: int, batch_size: int) -> int:
    """Passes over the pairs that are learnt from that make as many steps as ``epochs`` over all pairs."""
    return -(-epochs * number_of_pieces(pairs, batch_size) // number_of_pieces(learnt, batch_size))


def _as_float(outputs: Outputs) -> Outputs:
    parts = None if outputs.parts is None else outputs.parts.float()
    logits = outputs.code_logits.float(), outputs.class_logits.float()
    return Outputs(outputs.features.float(), *logits, parts, outputs.lengths)


def rows_of(modality: Modality) -> np.ndarray:
    """All row numbers."""
    return np.arange(len(modality))


def check_varied(modality: Modality, name: str) -> None:
    """Refuse vectors and regions that are not finite or all the same."""
    found = statistics(modality, rows_of(modality))
    if found is not None and not torch.isfinite(found[1]).all():
        raise InputError(f"{name}: holds NaN or infinite values; remove or fill those rows")
    if found is not None and not (found[1] > 0).any():
        raise InputError(f"{name}: every row is the same; nothing can be learnt from constant features")


def as_modality(values: Any, name: str, *, empty: bool = False) -> Modality:
    """An array or sparse matrix as ``vectors``; a modality as it is, its vectors checked (see ``check_view``)."""
    if isinstance(values, Modality) and values.kind != "vectors":
        return values
    rows = values.values if isinstance(values, Modality) else values
    matrix = check_view(rows, name, empty=empty)
    return Modality("vectors", matrix.astype(np.float32), None, getattr(values, "vocabulary", None))
