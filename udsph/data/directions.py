"""The two modalities of a pair, and the two directions of a search across them."""

MODALITIES = ("image", "text")
# By the name under which figures are kept: what is asked with, and what is searched.
DIRECTIONS = {"image_to_text": ("image", "text"), "text_to_image": ("text", "image")}


def in_words(direction: str) -> str:
    """``image to text``."""
    return direction.replace("_", " ")
