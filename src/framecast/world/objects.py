"""The 48 objects: 3 shapes × 2 materials × 8 colours, after CLEVR (Johnson et al. 2017, arXiv 1612.06890)."""

from __future__ import annotations

from dataclasses import dataclass

SHAPES = ("ball", "cube", "cylinder")
MATERIALS = ("rubber", "metal")
COLOURS = {
    "gray": (98, 98, 98),
    "red": (183, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 125, 30),
    "brown": (139, 80, 28),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 232, 40),
}
"""RGB, 0 to 255: CLEVR's colours, gray, green and brown a little lighter so that their shaded sides stay apart."""
CLASSES = len(SHAPES) * len(MATERIALS) * len(COLOURS)

# World units. A cube's half edge is chosen so that the upright disc that collides (below) encloses its corners.
RADIUS = {"ball": 0.55, "cube": 0.46, "cylinder": 0.48}
HALF_HEIGHT = {"ball": 0.55, "cube": 0.46, "cylinder": 0.50}
REACH = {"ball": 0.55, "cube": 0.46 * 2**0.5, "cylinder": 0.48}


@dataclass(frozen=True)
class Solid:
    """One of the 48 objects, at some scale."""

    class_id: int
    """1 + shape × 16 + material × 8 + colour, 1 to 48; the value of its pixels in the masks."""
    scale: float = 1.0

    @property
    def shape(self) -> str:
        return SHAPES[(self.class_id - 1) // 16]

    @property
    def material(self) -> str:
        return MATERIALS[(self.class_id - 1) // 8 % 2]

    @property
    def colour(self) -> str:
        return list(COLOURS)[(self.class_id - 1) % 8]

    @property
    def words(self) -> str:
        return f"a {self.colour} {self.material} {self.shape}"

    @property
    def radius(self) -> float:
        """Radius of a ball or a cylinder, half the edge of a cube; world units."""
        return RADIUS[self.shape] * self.scale

    @property
    def half_height(self) -> float:
        return HALF_HEIGHT[self.shape] * self.scale

    @property
    def reach(self) -> float:
        """Radius of the upright disc that collides, world units; it encloses the solid seen from above."""
        return REACH[self.shape] * self.scale

    @property
    def mass(self) -> float:
        """Rubber weighs 1, metal 2, times the cube of the scale."""
        return (2.0 if self.material == "metal" else 1.0) * self.scale**3
