"""The networks of UDSPH.

``encoders.py`` turns pixels, words, regions or vectors into local parts and a global vector; ``networks.py`` puts
codes on top of them and holds the label network and the discriminators. How they are trained stands in
``udsph.training``.
"""

from udsph.models.encoders import Encoded, PixelEncoder, RegionEncoder, TokenEncoder, VectorEncoder
from udsph.models.networks import (
    Discriminator,
    LabelNetwork,
    ModalityNetwork,
    ModalityPair,
    ModalitySpec,
    Outputs,
    build_modality,
)

__all__ = [
    "Discriminator",
    "Encoded",
    "LabelNetwork",
    "ModalityNetwork",
    "ModalityPair",
    "ModalitySpec",
    "Outputs",
    "PixelEncoder",
    "RegionEncoder",
    "TokenEncoder",
    "VectorEncoder",
    "build_modality",
]
