"""What a scene holds, and which of the 24 labels follow from it.

Everything here is drawn with comparisons and IEEE arithmetic only: a seed gives the same scenes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDE = 64
SHAPES = (
    *("circle", "square", "triangle", "star", "cross"),
    *("ring", "diamond", "heart", "crescent", "arrow"),
)
HUES = ("red", "orange", "yellow", "green", "blue", "violet", "pink")
NEUTRALS = ("white", "black", "grey", "brown")  # half of all things: a colour that carries no label
COLOURS = HUES + NEUTRALS
GROUNDS = ("cloudy", "grainy", "woven", "faded")  # the texture behind the things, without a label
CLASSES = (*SHAPES, *HUES, "large", "small", "striped", "dotted", "row", "column", "crowd")

COUNTS = (0.38, 0.32, 0.20, 0.10)  # probability of 1, 2, 3, 4 things
SIZES = {"medium": 0.8, "large": 0.1, "small": 0.1}
RADII = {"medium": (9.5, 12.0), "large": (15.0, 18.0), "small": (6.0, 7.5)}  # pixels
PATTERNS = {"plain": 0.8, "striped": 0.1, "dotted": 0.1}
ARRANGEMENTS = {"loose": 0.7, "row": 0.15, "column": 0.15}  # of two or more things
# Pixels. Things in a line deviate by at most 2 to either side; loose ones extend at least this far on both axes, so
# that "row" and "column" are never a matter of taste.
LOOSE_EXTENT = 10.0
TRIES = 60


@dataclass(frozen=True)
class Thing:
    """One object: what it is, its centre and radius in pixels, its pattern."""

    shape: str
    colour: str
    size: str
    pattern: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """One to four things, how they are arranged (``loose``, ``row``, ``column``), and the texture behind them."""

    things: tuple[Thing, ...]
    arrangement: str
    ground: str


def generator(seed: int, item: int, part: int) -> np.random.RandomState:
    """The random numbers of one part (content, caption, pixels) of one item.

    They depend on nothing else: not on the number of items, of processes, or on the other parts. ``RandomState``
    because NumPy freezes its streams for ever; those of ``Generator`` may change with a release.
    """
    return np.random.RandomState(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(item, part))))


def choose(random: np.random.RandomState, weighted: dict[str, float]) -> str:
    """One of the names by its weight; the weights sum to 1."""
    draw = random.random_sample()
    for name, weight in weighted.items():
        draw -= weight
        if draw < 0:
            return name
    return name


def pick(random: np.random.RandomState, names: tuple[str, ...]) -> str:
    """One of the names, all equally likely."""
    return names[int(random.random_sample() * len(names))]


def draw_scene(random: np.random.RandomState) -> Scene:
    """Draw the content of one scene."""
    count = 1 + int(choose(random, {str(k): p for k, p in enumerate(COUNTS)}))
    arrangement = "loose" if count == 1 else choose(random, ARRANGEMENTS)
    sizes = [choose(random, SIZES) for _ in range(count)]
    if arrangement != "loose" and count > 2:  # three large things do not fit on one line
        sizes = ["medium" if size == "large" else size for size in sizes]
    radii = np.array([random.uniform(*RADII[size]) for size in sizes])
    if arrangement != "loose":
        radii = np.minimum(radii, SIDE / 2 / count)
    x, y = _places(random, radii, arrangement)
    things = []
    for k in range(count):
        shape = pick(random, SHAPES)
        colour = pick(random, HUES if random.random_sample() < 0.5 else NEUTRALS)
        pattern = choose(random, PATTERNS)
        things.append(Thing(shape, colour, sizes[k], pattern, float(x[k]), float(y[k]), float(radii[k])))
    return Scene(tuple(things), arrangement, pick(random, GROUNDS))


def labels_of(scene: Scene) -> np.ndarray:
    """uint8 ``(24,)``, one for each of ``CLASSES`` that holds."""
    names = {word for thing in scene.things for word in (thing.shape, thing.colour, thing.size, thing.pattern)}
    names.add(scene.arrangement)
    if len(scene.things) == 4:
        names.add("crowd")
    return np.array([name in names for name in CLASSES], dtype=np.uint8)


def _places(random: np.random.RandomState, radii: np.ndarray, arrangement: str) -> tuple[np.ndarray, np.ndarray]:
    """Centres ``(x, y)`` of the things, in pixels."""
    count = len(radii)
    if arrangement == "loose":
        return _loose_places(random, radii)
    slots = (np.arange(count) + 0.5) * SIDE / count
    slack = np.minimum(3.0, SIDE / 2 / count - radii)
    along = slots + slack * random.uniform(-1, 1, count)
    edge = radii.max() + 2
    across = random.uniform(edge, SIDE - edge) + random.uniform(-2, 2, count)
    return (along, across) if arrangement == "row" else (across, along)


def _loose_places(random: np.random.RandomState, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first drawn places that leave the things apart, or those that come nearest to it."""
    count = len(radii)
    best, best_gap = None, -np.inf
    for _ in range(TRIES):
        x, y = (radii + 1 + random.random_sample(count) * (SIDE - 2 * radii - 2) for _ in range(2))
        if count > 1 and min(np.ptp(x), np.ptp(y)) < LOOSE_EXTENT:
            continue
        gap = _smallest_gap(x, y, radii)
        if gap > best_gap:
            best, best_gap = (x, y), gap
        if gap > 0:
            break
    if best is None:  # every draw was nearly a line: opposite corners are not
        corner = np.where(np.arange(count) % 2 == 0, radii + 1, SIDE - radii - 1)
        best = corner, corner
    return best


def _smallest_gap(x: np.ndarray, y: np.ndarray, radii: np.ndarray) -> float:
    """How far the two closest things are apart, in pixels; things may overlap a little."""
    gaps = [
        float(np.sqrt((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2) - 0.85 * (radii[i] + radii[j]))
        for i in range(len(x))
        for j in range(i)
    ]
    return min(gaps, default=1.0)
