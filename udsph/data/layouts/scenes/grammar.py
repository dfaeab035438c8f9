"""Captions: a small grammar with synonyms, changing word order, and words that carry no label."""

from __future__ import annotations

import numpy as np

from udsph.data.layouts.scenes.world import GROUNDS, Scene, Thing, choose, pick
from udsph.data.tokens import words_of

# The first word of each is the usual one.
SYNONYMS = {
    "circle": ("circle", "disc", "ball"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "wedge", "pyramid"),
    "star": ("star", "pentagram", "sparkle"),
    "cross": ("cross", "plus", "crucifix"),
    "ring": ("ring", "hoop", "loop"),
    "diamond": ("diamond", "rhombus", "lozenge"),
    "heart": ("heart", "valentine", "sweetheart"),
    "crescent": ("crescent", "moon", "sickle"),
    "arrow": ("arrow", "pointer", "dart"),
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "amber", "tangerine"),
    "yellow": ("yellow", "golden", "lemon"),
    "green": ("green", "emerald", "jade"),
    "blue": ("blue", "azure", "navy"),
    "violet": ("violet", "purple", "lilac"),
    "pink": ("pink", "magenta", "rosy"),
    "white": ("white", "ivory", "snowy"),
    "black": ("black", "ebony", "inky"),
    "grey": ("grey", "silver", "ashen"),
    "brown": ("brown", "tan", "chestnut"),
    "large": ("large", "big", "huge"),
    "small": ("small", "little", "tiny"),
    "striped": ("striped", "banded", "streaked"),
    "dotted": ("dotted", "spotted", "speckled"),
    "row": ("in a row", "side by side", "abreast"),
    "column": ("in a column", "one above another", "stacked"),
    "crowd": ("a crowd of things", "many things", "lots of things"),
    "thing": ("thing", "shape", "item"),
}
USUAL = {"0": 0.6, "1": 0.25, "2": 0.15}
# Distractors: what they say holds for no label.
OPENINGS = ("", "", "a picture of", "there is", "here we see", "this shows", "we found", "note")
MOODS = ("strange", "lovely", "quiet", "famous", "cheap", "old", "clean", "simple")
TIMES = ("today", "again", "as usual", "at last", "this morning", "for a while")
GROUND_PHRASES = ("on {} ground", "before a {} wall", "with a {} backdrop")


def write_caption(scene: Scene, omit: float, random: np.random.RandomState) -> str:
    """Describe a scene in one line of lower-case words.

    ``omit`` is the probability that a detail goes unmentioned: the shape, colour, size or pattern of a thing, the
    arrangement, the crowd. A whole thing does with half of it. Something is always said.
    """
    things = [thing for thing in scene.things if random.random_sample() >= omit / 2] or list(scene.things)
    order = random.permutation(len(things))
    phrases = [_phrase(things[k], omit, random) for k in order]
    if len(phrases) == 2 and scene.arrangement == "loose":
        body = f" {_relation(things[order[0]], things[order[1]], random)} ".join(phrases)
    else:
        body = ", ".join(phrases[:-1]) + " and " + phrases[-1] if len(phrases) > 1 else phrases[0]
    if scene.arrangement != "loose" and random.random_sample() >= omit:
        placed = _say(scene.arrangement, random)
        body = f"{placed} {body}" if random.random_sample() < 0.3 else f"{body} {placed}"
    if len(scene.things) == 4 and random.random_sample() >= omit:
        crowd = _say("crowd", random)
        body = f"{crowd} , {body}" if random.random_sample() < 0.6 else f"{body} , {crowd}"
    opening = pick(random, OPENINGS)
    if random.random_sample() < 0.5:
        body = f"{body} {pick(random, GROUND_PHRASES).format(scene.ground)}"
    if random.random_sample() < 0.3:
        time = pick(random, TIMES)
        opening, body = (f"{time} {opening}", body) if random.random_sample() < 0.3 else (opening, f"{body} {time}")
    return " ".join(f"{opening} {body}".replace(" ,", ",").split())


def _phrase(thing: Thing, omit: float, random: np.random.RandomState) -> str:
    """One thing: ``a big scarlet star``, ``a star , scarlet and big`` or ``a big star in scarlet``."""
    noun = _say(thing.shape if random.random_sample() >= omit else "thing", random)
    mood = [pick(random, MOODS)] if random.random_sample() < 0.15 else []
    details = []
    if thing.size != "medium" and random.random_sample() >= omit:
        details.append(_say(thing.size, random))
    if thing.pattern != "plain" and random.random_sample() >= omit:
        details.append(_say(thing.pattern, random))
    colour = [_say(thing.colour, random)] if random.random_sample() >= omit else []
    form = random.random_sample()
    if form < 0.2 and colour:
        before, after = mood + details, f" in {colour[0]}"
    elif form < 0.4 and details + colour:
        before, after = mood, " , " + " and ".join(colour + details)
    else:
        details = [details[k] for k in random.permutation(len(details))]
        before, after = mood + details + colour, ""
    said = " ".join([*before, noun])
    return f"{'an' if said[0] in 'aeiou' else 'a'} {said}{after}"


def _say(name: str, random: np.random.RandomState) -> str:
    return SYNONYMS[name][int(choose(random, USUAL))]


def _relation(first: Thing, second: Thing, random: np.random.RandomState) -> str:
    """A true word on where the first of two things is; places have no label."""
    beside = "left of" if first.x < second.x else "right of"
    height = "above" if first.y < second.y else "below"
    return pick(random, (beside, height, "and", "with"))


def _vocabulary() -> tuple[str, ...]:
    """Every word that the grammar can say, sorted, after the padding."""
    texts = [word for synonyms in SYNONYMS.values() for word in synonyms]
    texts += [*OPENINGS, *MOODS, *TIMES, *GROUND_PHRASES, *GROUNDS]
    texts += ["a an and in with left right of above below"]
    return ("<pad>", *sorted({word for text in texts for word in words_of(text)}))


VOCABULARY = _vocabulary()
# Words of the longest caption: an opening (3), "a crowd of things" (4), four times "an old star, red and small and
# striped" (8) with one "and", "one above another" (3), "with a cloudy backdrop" (4), and a time (3).
LONGEST = 3 + 4 + 4 * 8 + 1 + 3 + 4 + 3
