"""Masks for the eye: one fixed colour a class, and overlays on frames."""

from __future__ import annotations

import colorsys
import functools

import numpy as np

# Hue, saturation and value of gray, red, blue, green, brown, purple, cyan, yellow.
COLOURS = (
    (0.0, 0.0, 0.6), (0.0, 0.85, 0.85), (0.62, 0.8, 0.95), (0.36, 0.8, 0.7),
    (0.07, 0.75, 0.55), (0.79, 0.65, 0.8), (0.5, 0.75, 0.85), (0.15, 0.85, 0.95),
)  # fmt: skip
KINDS = 6
"""Shapes × materials: each is a shade of the colour."""


@functools.cache
def palette(classes: int) -> np.ndarray:
    """Colours uint8 [classes, 3]: black for the background; the 48 objects in shades of their own colours."""
    colours = [_colour(number, classes) for number in range(classes - 1)]
    return np.array([(0, 0, 0), *colours], dtype=np.float64).clip(0, 255).round().astype(np.uint8)


def _colour(number: int, classes: int) -> tuple[float, float, float]:
    if classes == 1 + KINDS * len(COLOURS):
        kind, colour = divmod(number, len(COLOURS))
        hue, saturation, value = COLOURS[colour]
        shade = 0.55 + 0.45 * (kind + 1) / KINDS
    else:
        hue, saturation, value, shade = (number * 0.618034) % 1, 0.75, 0.95, 1 - 0.5 * (number % 3) / 3
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value * shade)
    return 255 * red, 255 * green, 255 * blue


def painted(masks: np.ndarray, classes: int) -> np.ndarray:
    """Masks [..., H, W] in their colours, uint8 [..., H, W, 3]."""
    return palette(classes)[masks]


def overlay(frames: np.ndarray, masks: np.ndarray, classes: int) -> np.ndarray:
    """Frames uint8 [..., H, W, 3], faded, with masks [..., H, W] in their colours over them."""
    colours = painted(masks, classes)
    covered = (masks > 0)[..., None]
    mixed = np.where(covered, 0.35 * frames + 0.65 * colours, 0.6 * frames + 0.4 * 255)
    return mixed.round().astype(np.uint8)


def row(pictures: list[np.ndarray], gap: int = 2) -> np.ndarray:
    """Pictures uint8 [H, W, 3] of one height side by side, with white between."""
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, white)][:-1], axis=1)


def column(pictures: list[np.ndarray], gap: int = 2) -> np.ndarray:
    """Pictures uint8 [H, W, 3] of one width below each other, with white between."""
    white = np.full((gap, pictures[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, white)][:-1], axis=0)
