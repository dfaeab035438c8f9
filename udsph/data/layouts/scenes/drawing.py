"""Scenes as pixels: every shape is a set of points, sampled nine times a pixel."""

from __future__ import annotations

import numpy as np

from udsph.data.layouts.scenes.world import SIDE, Scene, Thing

SAMPLES = 3  # per pixel and axis
TONES = {
    "red": (0.83, 0.12, 0.14),
    "orange": (0.96, 0.52, 0.08),
    "yellow": (0.95, 0.88, 0.18),
    "green": (0.15, 0.62, 0.22),
    "blue": (0.13, 0.30, 0.82),
    "violet": (0.50, 0.22, 0.74),
    "pink": (0.97, 0.45, 0.72),
    "white": (0.95, 0.95, 0.94),
    "black": (0.07, 0.07, 0.08),
    "grey": (0.52, 0.52, 0.53),
    "brown": (0.43, 0.27, 0.14),
}
TONE_JITTER = 0.07  # each channel of a thing's tone moves by at most this
TEXTURE_DEPTH = 0.09
OUTLINE_TONE = 0.05
TURN = 0.04  # a thing is rotated by at most this share of a full turn
OUTLINE = 4  # dark border of a thing, in samples: it tells shapes apart whatever their colour


def _star() -> list[tuple[float, float]]:
    turns = np.arange(10) * 0.2 * np.pi
    reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return list(zip(reach * np.sin(turns), -reach * np.cos(turns), strict=True))


# Corners in units of the radius; y grows downwards.
POLYGONS: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
    "triangle": [(0, -0.95), (0.92, 0.75), (-0.92, 0.75)],
    "star": _star(),
    "cross": [
        *((-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3)),
        *((0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3)),
    ],
    "diamond": [(0, -1), (0.62, 0), (0, 1), (-0.62, 0)],
    "arrow": [(1, 0), (0.15, -0.7), (0.15, -0.25), (-0.95, -0.25), (-0.95, 0.25), (0.15, 0.25), (0.15, 0.7)],
}


def draw_pixels(scene: Scene, noise: float, random: np.random.RandomState) -> np.ndarray:
    """Render a scene: uint8 ``(64, 64, 3)``.

    ``noise`` is the standard deviation of the noise on each channel of each pixel, where the full range is 1.
    """
    tones = [_jitter(random, TONES[thing.colour], TONE_JITTER) for thing in scene.things]
    canvas = _background(random, scene.ground, tones)
    for thing, tone in zip(scene.things, tones, strict=True):
        _paint(canvas, thing, tone, random.uniform(-TURN, TURN))
    canvas += noise * random.standard_normal(canvas.shape)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def _jitter(random: np.random.RandomState, tone: tuple[float, ...], amount: float) -> np.ndarray:
    return np.clip(np.array(tone) + random.uniform(-amount, amount, 3), 0, 1)


def _background(random: np.random.RandomState, ground: str, tones: list[np.ndarray]) -> np.ndarray:
    """A muted tone that stands off from all things, with a texture: ``(64, 64, 3)``."""
    greys = random.uniform(0.45, 0.85, (6, 1)) + random.uniform(-0.1, 0.1, (6, 3))
    nearest = [min(float(np.abs(grey - tone).sum()) for tone in tones) for grey in greys]
    base = greys[int(np.argmax(nearest))]
    texture = TEXTURE_DEPTH * _texture(random, ground)
    return base + texture[:, :, None] * random.uniform(0.7, 1.3, 3)


def _texture(random: np.random.RandomState, ground: str) -> np.ndarray:
    """One of the four grounds, about within -1 and 1: ``(64, 64)``."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    if ground == "cloudy":
        knots = random.uniform(-1, 1, (6, 6))
        return np.einsum("yi,ij,xj->yx", _BLEND, knots, _BLEND)
    if ground == "grainy":
        return np.kron(random.uniform(-0.8, 0.8, (SIDE // 2, SIDE // 2)), np.ones((2, 2)))
    if ground == "woven":
        threads = random.uniform(5, 9)
        phase = random.uniform(0, 2 * np.pi, 2)
        return np.sin(2 * np.pi * threads * rows + phase[0]) * np.sin(2 * np.pi * threads * columns + phase[1])
    turn = random.uniform(0, 2 * np.pi)  # faded
    return 1.6 * (np.cos(turn) * (rows - 0.5) + np.sin(turn) * (columns - 0.5))


def _blend_weights(knots: int) -> np.ndarray:
    """Linear interpolation from ``knots`` values to the pixels of one axis: ``(64, knots)``."""
    place = np.linspace(0, knots - 1, SIDE)
    return np.clip(1 - np.abs(place[:, None] - np.arange(knots)), 0, 1)


_BLEND = _blend_weights(6)


def _paint(canvas: np.ndarray, thing: Thing, tone: np.ndarray, turn: float) -> None:
    """Lay one thing over the canvas, in place, rotated by ``turn`` of a full turn."""
    x, y, radius = thing.x, thing.y, thing.radius
    left, right = max(0, int(x - radius) - 1), min(SIDE, int(x + radius) + 2)
    top, bottom = max(0, int(y - radius) - 1), min(SIDE, int(y + radius) + 2)
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES
    across = ((np.arange(left, right)[:, None] + offsets).ravel() - x) / radius
    down = ((np.arange(top, bottom)[:, None] + offsets).ravel() - y) / radius
    cosine, sine = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    u = cosine * across[None, :] + sine * down[:, None]
    v = cosine * down[:, None] - sine * across[None, :]
    inside = _inside(thing.shape, u, v)
    filled = _eroded(inside, OUTLINE)
    paint = _shrink(inside & ~filled)[:, :, None] * OUTLINE_TONE + _shrink(filled)[:, :, None] * tone
    if thing.pattern != "plain":
        marks = filled & _marks(thing.pattern, u, v, radius)
        opposite = 0.1 if tone.mean() > 0.45 else 0.95
        paint += _shrink(marks)[:, :, None] * (opposite - tone)
    patch = canvas[top:bottom, left:right]
    patch *= 1 - _shrink(inside)[:, :, None]
    patch += paint


def _marks(pattern: str, u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    """Where stripes or dots lie, on points in units of the radius; they are at least 5 pixels from one to the next."""
    waves = 2 * np.pi * radius / max(5.0, 0.45 * radius)
    if pattern == "striped":
        return np.sin(waves * u) > 0
    return np.sin(waves * u) * np.sin(waves * v) > 0.35


def _eroded(mask: np.ndarray, depth: int) -> np.ndarray:
    """The points whose neighbours at a distance of ``depth`` samples, in eight directions, also belong to the mask."""
    rows, columns = mask.shape
    padded = np.pad(mask, depth)
    aslant = round(depth * 0.7)
    kept = mask.copy()
    straight = ((depth, 0), (-depth, 0), (0, depth), (0, -depth))
    for down, right in (*straight, *((i, j) for i in (-aslant, aslant) for j in (-aslant, aslant))):
        kept &= padded[depth + down : depth + down + rows, depth + right : depth + right + columns]
    return kept


def _shrink(samples: np.ndarray) -> np.ndarray:
    """Share of each pixel that is covered."""
    rows, columns = samples.shape
    return samples.reshape(rows // SAMPLES, SAMPLES, columns // SAMPLES, SAMPLES).mean(axis=(1, 3))


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Which points, in units of the radius, belong to the shape."""
    if shape in POLYGONS:
        return _in_polygon(POLYGONS[shape], u, v)
    squared = u * u + v * v
    if shape == "circle":
        return squared <= 0.9
    if shape == "ring":
        return (squared <= 1) & (squared >= 0.3)
    if shape == "crescent":
        return (squared <= 1) & ((u - 0.45) ** 2 + v * v >= 0.6)
    p, q = 1.2 * u, 0.15 - 1.2 * v  # heart
    return (p * p + q * q - 1) ** 3 <= p * p * q**3


def _in_polygon(corners: list[tuple[float, float]], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Even-odd rule: a ray to the right crosses the border an odd number of times."""
    inside = np.zeros(u.shape, dtype=bool)
    for (u0, v0), (u1, v1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if v0 != v1:
            inside ^= ((v0 > v) != (v1 > v)) & (u < u0 + (v - v0) * (u1 - u0) / (v1 - v0))
    return inside
