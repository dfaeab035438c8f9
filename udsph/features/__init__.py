"""Features: pixels or text in, arrays of numbers out, by networks and word models that others trained.

``images.py`` and ``words.py`` say what an extractor is and list them by name; ``extract.py`` runs them over a dataset
and writes a folder that the layout ``features`` reads memory-mapped; ``folder.py`` is that folder while it is written.

======================  ===========================================  =======================================
image                   ``cnnf``, ``huggingface``, ``timm``          ``keep``: the pixels as they are
text                    ``doc2vec``, ``word2vec``, ``huggingface``   ``keep``: as the dataset has it
======================  ===========================================  =======================================
"""

from udsph.features.extract import extract
from udsph.features.registry import IMAGE_EXTRACTORS, TEXT_EXTRACTORS, image_extractor, text_extractor

__all__ = ["IMAGE_EXTRACTORS", "TEXT_EXTRACTORS", "extract", "image_extractor", "text_extractor"]
