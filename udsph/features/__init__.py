"""Features: pixels or text in, arrays of numbers out, by networks and word models that others trained.

``base.py`` says what an extractor is, ``registry.py`` lists them by name; ``extraction.py`` runs them over a dataset
and writes a folder that the layout ``features`` reads memory-mapped; ``folder.py`` is that folder while it is written.

======  ==========================================================  ==================================
image   ``cnnf``, ``efficientnet-lite0``, ``huggingface``, ``timm``  ``keep``: the pixels as they are
text    ``doc2vec``, ``word2vec``, ``glove``, ``wordllama``,         ``keep``: as the dataset has it
        ``minilm``, ``huggingface``
======  ==========================================================  ==================================

``packages.py`` finds the weights that lie in packages of the Python index; no network is needed for these.
"""

from udsph.features.extraction import extract
from udsph.features.registry import IMAGE_EXTRACTORS, TEXT_EXTRACTORS, image_extractor, text_extractor

__all__ = ["IMAGE_EXTRACTORS", "TEXT_EXTRACTORS", "extract", "image_extractor", "text_extractor"]
