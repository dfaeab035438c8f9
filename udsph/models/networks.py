"""The networks of UDSPH: two modality networks, the label network that teaches them, two discriminators."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from udsph.models.attention import Attended, ClassAttention, ClassQueries
from udsph.models.encoders import Encoded, PixelEncoder, RegionEncoder, TokenEncoder, VectorEncoder
from udsph.models.layers import GroupedLinear, groups_of

if TYPE_CHECKING:
    from udsph.models.linear import LinearNetwork

WIDTH = 512  # of the high-level features, as in SSAH
FREE_QUERIES = 16  # where there are no classes


@dataclass(frozen=True)
class ModalitySpec:
    """What a modality network must know of its data: the kind, the shape of one item, the number of known tokens."""

    kind: str
    shape: tuple[int, ...]
    vocabulary: int = 0


class Outputs(NamedTuple):
    """What a network says of a batch: features, one logit per bit, one logit per class, local parts, and what each
    class attended to among them.
    """

    features: Tensor
    code_logits: Tensor
    class_logits: Tensor
    parts: Tensor | None = None
    lengths: Tensor | None = None
    attended: Attended | None = None

    @property
    def codes(self) -> Tensor:
        """Relaxed codes in (-1, 1); their signs are the bits."""
        return torch.tanh(self.code_logits / 2)

    def first(self, count: int) -> Outputs:
        """What was said of the first ``count`` items."""
        attended = None if self.attended is None else Attended(*(values[:count] for values in self.attended))
        rest = (None if values is None else values[:count] for values in self[:-1])
        return Outputs(*rest, attended=attended)  # type: ignore[arg-type,misc]


class Nothing(nn.Module):
    """The logits of no classes, of pairs without labels."""

    def forward(self, features: Tensor) -> Tensor:
        return features[:, :0]


class LabelReader(nn.Module):
    """From the classes found in an item to bits, as the label network goes from labels to bits.

    The layers are the label network's own, which :meth:`start_from` copies; they learn on from there. The label network
    knows after thousands of label rows which sets of labels have which bits; a network that reads bits from features
    alone has to find that in the few items that it sees.
    """

    def __init__(self, bits: int, classes: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes))
        self.shift = nn.Parameter(torch.zeros(classes))
        self.to_features = label_layers(classes, width)
        self.to_code = nn.Linear(width, bits)

    def start_from(self, teacher: LabelNetwork) -> None:
        """Take over the layers of a trained label network."""
        self.to_features.load_state_dict(teacher.to_features.state_dict())
        self.to_code.load_state_dict(teacher.to_code.state_dict())

    def forward(self, class_logits: Tensor) -> Tensor:
        """A logit per bit from ``(batch, classes)``; scale and shift turn class logits into those of probabilities."""
        probabilities = torch.sigmoid(class_logits.float() * self.scale + self.shift)
        return self.to_code(self.to_features(probabilities.to(class_logits.dtype)))


def label_layers(classes: int, width: int) -> nn.Sequential:
    """The layers from labels to features."""
    return nn.Sequential(nn.Linear(classes, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


class ModalityNetwork(nn.Module):
    """From items of one modality to high-level features, codes and class logits; needs no other modality.

    With several ``groups`` each group of bits has a part of the features for itself, and layers of its own above the
    encoder; the classes are read from all features.

    Attributes
    ----------
    attention
        Where :class:`ModalityPair` gave the network one: what the classes attend to among the local parts joins the
        first layer of the features.
    reader
        Where :class:`ModalityPair` gave the network one: bits from the classes, added to those from the features. The
        classes are those that attention found, or, without attention, those read from the features.
    shortcut
        Where there are ``columns``: a linear layer from the standardised columns of a vector to the bits and classes,
        beside all others; it starts at zero. A few thousand vectors teach it more surely than deeper layers.
    """

    def __init__(
        self, encoder: nn.Module, bits: int, classes: int, width: int = WIDTH, groups: int = 1, *, columns: int = 0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.width, self.classes = width, classes
        self.to_features = nn.Sequential(GroupedLinear(width, width, groups), nn.BatchNorm1d(width), nn.ReLU())
        self.to_code = GroupedLinear(width, bits, groups)
        self.to_classes = nn.Linear(width, classes) if classes else Nothing()
        self.attention: ClassAttention | None = None
        self.reader: LabelReader | None = None
        self.shortcut = nn.Linear(columns, bits + classes, bias=False) if columns else None
        if self.shortcut is not None:
            nn.init.zeros_(self.shortcut.weight)

    @property
    def part_width(self) -> int:
        """Columns of a local part; 0 where the items have none."""
        return int(self.encoder.part_width)  # type: ignore[arg-type]

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Outputs:
        """Codes, classes and features of a batch; ``lengths`` says how many parts of each item are real."""
        encoded: Encoded = self.encoder(values, lengths)
        hidden, attended = self.to_features[0](encoded.vector), None
        if self.attention is not None and encoded.parts is not None:
            found, attended = self.attention(encoded.parts, encoded.lengths)
            hidden = hidden + found
        features = self.to_features[1:](hidden)
        code, classes = self.to_code(features), self.to_classes(features)
        if self.reader is not None:
            code = code + self.reader(classes if attended is None else attended.logits)
        if self.shortcut is not None and encoded.standard is not None:
            short = self.shortcut(encoded.standard)
            code, classes = code + short[:, : code.shape[1]], classes + short[:, code.shape[1] :]
        return Outputs(features, code, classes, encoded.parts, encoded.lengths, attended)


class LabelNetwork(nn.Module):
    """From multi-hot labels to features and codes of the same form as the modality networks': the teacher."""

    def __init__(self, bits: int, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.to_features = label_layers(classes, width)
        self.to_code = nn.Linear(width, bits)
        self.to_classes = nn.Linear(width, classes)

    def forward(self, labels: Tensor) -> Outputs:
        """``labels``: ``(batch, classes)``, multi-hot."""
        features = self.to_features(labels.to(self.to_code.weight.dtype))
        return Outputs(features, self.to_code(features), self.to_classes(features))


class Discriminator(nn.Module):
    """Whether features come from the teacher (or, without a label network, from the image network): one logit."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width // 2), nn.LeakyReLU(0.2), nn.Linear(width // 2, width // 4), nn.LeakyReLU(0.2),
            nn.Linear(width // 4, 1),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """(n, width) features to (n,) logits."""
        return self.layers(features).squeeze(1)


class CodeCritic(nn.Module):
    """Whether a code is one of the label network's: one logit.

    Each layer's weights are divided by their largest singular value, so that its answer changes no faster than the
    code: a critic that tells the two apart at once still says in which direction it would change its mind.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        sizes = (bits, 256, 128, 1)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [spectral_norm(nn.Linear(inputs, outputs)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, codes: Tensor) -> Tensor:
        """``codes``: ``(batch, bits)``, -1 to 1."""
        return self.layers(codes).squeeze(1)


class ModalityPair(nn.Module):
    """The image and the text network, which are trained together but each used alone.

    Parameters
    ----------
    attention
        ``label``: one query per class, shared by both networks, attends to the local parts of each; ``uniform``: the
        same layers, where all parts weigh alike; ``none``. A network whose items have no parts does without. Where
        there are no classes the queries stand for nothing but what the other losses make of them.
    reading
        Which networks read bits from their classes as well: ``auto``: those with attention; ``true``: both; ``false``.
    """

    def __init__(
        self,
        image: ModalityNetwork | LinearNetwork,
        text: ModalityNetwork | LinearNetwork,
        *,
        attention: str = "none",
        reading: str = "false",
    ) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.queries: ClassQueries | None = None
        networks = [network for network in (image, text) if isinstance(network, ModalityNetwork)]
        with_parts = [network for network in networks if network.part_width]
        if attention != "none" and with_parts:
            self.queries = ClassQueries(with_parts[0].classes or FREE_QUERIES, with_parts[0].part_width)
            self.queries.requires_grad_(attention == "label")
            for network in with_parts:
                network.attention = ClassAttention(self.queries, network.width, uniform=attention == "uniform")
        for network in networks:
            if network.classes and (reading == "true" or (reading == "auto" and network.attention is not None)):
                network.reader = LabelReader(network.to_code.outputs, network.classes, network.width)

    def forward(
        self, image: tuple[Tensor, Tensor | None], text: tuple[Tensor, Tensor | None]
    ) -> tuple[Outputs, Outputs]:
        """Both networks on values and lengths of a batch of pairs."""
        return self.image(*image), self.text(*text)


def build_modality(
    spec: ModalitySpec,
    name: str,
    bits: int,
    classes: int,
    *,
    part_width: int,
    parts: int,
    width: int = WIDTH,
    groups: int = 1,
    shortcut: bool = False,
) -> ModalityNetwork:
    """The network for one modality.

    Parameters
    ----------
    name
        ``image`` or ``text``: a vector of the text is a bag of words and gets the multi-scale fusion.
    part_width
        Width of the local parts; equal for both modalities, which attention compares.
    parts
        How many columns of a vector stand in for its local parts; 0 for none.
    width
        Of the high-level features.
    groups
        Of bits with layers of their own; fewer where they do not part the bits evenly.
    shortcut
        Whether a linear layer leads from a vector to the bits and classes beside all others.
    """
    groups = groups_of(groups, bits, width)
    encoder: nn.Module
    if spec.kind == "pixels":
        encoder = PixelEncoder(width, part_width)
    elif spec.kind == "tokens":
        encoder = TokenEncoder(spec.vocabulary, width, part_width)
    elif spec.kind == "regions":
        encoder = RegionEncoder(spec.shape[-1], width, part_width)
    else:
        text = name == "text"
        encoder = VectorEncoder(
            spec.shape[0],
            width,
            part_width,
            scales=(16, 64, 256) if text else (),
            dropout=0.4 if text else 0.1,
            hidden_dropout=0.5 if text else 0.3,
            parts=parts,
            groups=groups,
            hidden=(2 if text else 4) * width,  # the vector of an image is the shorter one, and harder to fit
        )
    columns = spec.shape[0] if shortcut and spec.kind == "vectors" else 0
    return ModalityNetwork(encoder, bits, classes, width, groups, columns=columns)
