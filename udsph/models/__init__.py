"""The networks of UDSPH.

``encoders.py`` turns pixels, words, regions or vectors into local parts and a global vector; ``attention.py`` lets
each class look at the parts; ``networks.py`` puts codes on top of both and holds the label network and the
discriminators. How they are trained stands in ``udsph.training``.
"""

from udsph.errors import naming_extra

with naming_extra("udsph.models"):
    from udsph.models.attention import Attended, ClassAttention, ClassQueries
    from udsph.models.encoders import Encoded, PixelEncoder, RegionEncoder, TokenEncoder, VectorEncoder
    from udsph.models.networks import (
        CodeCritic,
        Discriminator,
        LabelNetwork,
        ModalityNetwork,
        ModalityPair,
        ModalitySpec,
        Outputs,
        build_modality,
    )

__all__ = [
    "Attended",
    "ClassAttention",
    "ClassQueries",
    "CodeCritic",
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
