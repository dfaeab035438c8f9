"""Every method of the paper's comparison behind one interface.

    method = create("scm-seq", bits=64, random_state=0)
    method.fit(images, texts, labels)          arrays, sparse matrices, or udsph.data.Modality
    method.encode_image(images)                packed codes, uint8 (n, 8); needs images only
    method.encode_text(texts)

One file per method, in ``shallow`` (NumPy and SciPy on feature vectors) and ``deep`` (PyTorch, on the encoders of
``udsph.models``). A file's ``METHODS`` maps names to classes; that is all a new method needs. Methods of other packages
and of programs come in by ``registry.py``. ``base.py`` is the contract, ``inputs.py`` the preparation that all shallow
methods share, ``features.py`` their fixed features of pixels and words.
"""

from udsph.errors import naming_extra

with naming_extra("udsph.baselines"):
    from udsph.baselines.base import LinearMethod, Method, ShallowMethod
    from udsph.baselines.registry import broken, create, methods, names, register

__all__ = ["LinearMethod", "Method", "ShallowMethod", "broken", "create", "methods", "names", "register"]
