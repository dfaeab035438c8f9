"""Encoding: a trained model opened from its folder, and binary codes from it; no trainer is needed.

Read ``hasher.py`` for what a model does, ``run_folder.py`` and ``pretrained.py`` for the two forms in which it lies on
the disk, ``streaming.py`` for codes of more items than fit in memory, ``config.py`` for all settings.
"""

from udsph.errors import naming_extra

with naming_extra("udsph.encoding"):
    from udsph.encoding.config import Config
    from udsph.encoding.hasher import Hasher
    from udsph.encoding.streaming import encode_file

__all__ = ["Config", "Hasher", "encode_file"]
