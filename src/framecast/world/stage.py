"""What a scene is made of, and the stage on which a scene's function places it.

Everything drawn here comes from two generators: one of the recording group (light, floor, stock of objects), one of
the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from framecast.core.seeding import rng
from framecast.world import physics
from framecast.world.objects import CLASSES, COLOURS, Solid

BOUNDS = np.array([[-2.9, 2.9], [-2.05, 2.05]])
"""The walls: x, y; world units. Those at the sides and at the back are seen, the front one is glass."""
LANES = (-1.35, 0.0, 1.35)
"""Three parallel strips; objects that keep to different strips cannot touch."""
FLOORS = {
    "sandy": (213, 198, 168), "mint": (184, 210, 192), "pale blue": (182, 200, 221), "rose": (220, 194, 194),
    "lilac": (203, 194, 221), "ivory": (224, 220, 203),
}  # fmt: skip
WOOD = (196, 160, 118)
RESTING = 0.1
"""Share of the bystanders that rest."""
GLIDING = (0.06, 0.12)
"""Speeds of the others, world units per frame."""
STEP = 1e-4  # frames; velocities of closed-form paths are forward differences over it


@dataclass(frozen=True)
class Body:
    """A solid on its way. Props (rods, paddles) have class 0: they count as background in the masks."""

    shape: str
    material: str
    rgb: tuple[int, int, int]
    radius: float
    half_height: float
    class_id: int
    role: str
    positions: np.ndarray  # [T,3] centre, world units
    velocities: np.ndarray  # [T,3] world units per frame
    attitude: np.ndarray  # [T,3,3] body axes → world axes
    still: bool

    @property
    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and attitudes to draw: those of the first frame alone where nothing changes."""
        times = slice(0, 1 if self.still else None)
        return self.positions[times], self.attitude[times]

    def at(self, frames: slice | list[int]) -> Body:
        """The same body in some of the frames."""
        parts = {name: getattr(self, name)[frames] for name in ("positions", "velocities", "attitude")}
        return replace(self, **parts)


@dataclass(frozen=True)
class Prop:
    """A fixed convex block: the points p with normals @ p <= offsets."""

    normals: np.ndarray  # [F,3] unit vectors
    offsets: np.ndarray  # [F]


@dataclass(frozen=True)
class Scenery:
    """What the clips of one recording group share."""

    floor: str
    wall_tint: float  # brightness of the walls against the floor
    light: np.ndarray  # [3] unit vector towards the light
    stock: tuple[int, ...]  # the 48 classes in this group's order; clips start at different places of its head


@dataclass
class Stage:
    """One clip while its scene is being built."""

    scenery: Scenery
    draw: np.random.Generator
    frames: int
    objects: int
    clip: int
    bodies: list[Body] = field(default_factory=list)
    props: list[Prop] = field(default_factory=list)
    asides: list[str] = field(default_factory=list)
    progress: np.ndarray = field(default_factory=lambda: np.empty(0))
    taken: set[int] = field(default_factory=set)
    discs: list[tuple[Solid, str, np.ndarray, np.ndarray]] = field(default_factory=list)

    @property
    def times(self) -> np.ndarray:
        return np.arange(self.frames, dtype=float)

    def take(self, shapes: tuple[str, ...] = ("ball", "cube", "cylinder"), scale: float = 1.0) -> Solid:
        """The next object of the group's stock that has one of the shapes and is not in the clip yet."""
        head = self.scenery.stock[:4]
        turned = head[self.clip % 4 :] + head[: self.clip % 4] + self.scenery.stock[4:]
        found = next(c for c in turned if c not in self.taken and Solid(c).shape in shapes)
        self.taken.add(found)
        return Solid(found, scale)

    def add(self, solid: Solid, role: str, path: physics.Path, attitude: np.ndarray | None = None) -> None:
        """Place an object that follows `path`; by default it keeps a drawn heading."""
        times = self.times
        positions, later = path(times), path(times + STEP)
        if attitude is None:
            attitude = physics.spin(self.draw.uniform(0, np.pi), 0.0, times)
        self._append(solid, role, positions, (later - positions) / STEP, attitude)

    def _append(self, solid: Solid, role: str, x: np.ndarray, v: np.ndarray, attitude: np.ndarray) -> None:
        still = bool((x == x[0]).all() and (attitude == attitude[0]).all())
        self.bodies.append(
            Body(
                solid.shape, solid.material, COLOURS[solid.colour], solid.radius, solid.half_height,
                solid.class_id, role, x, v, attitude, still,
            )
        )  # fmt: skip

    def rod(self, path: physics.Path, radius: float = 0.07, half: float = 2.0) -> None:
        """A wooden rod (or, wide and flat, a paddle); `path` is its centre. It shows who moves the object."""
        times = self.times
        x = path(times)
        attitude = np.broadcast_to(np.eye(3), (self.frames, 3, 3))
        still = bool((x == x[0]).all())
        self.bodies.append(
            Body("cylinder", "rubber", WOOD, radius, half, 0, "prop", x, np.zeros_like(x), attitude, still)
        )

    def hold(self, solid: Solid, path: physics.Path, release: float = np.inf, half: float = 2.0) -> None:
        """A rod that holds an object from above and, once it let go, goes up and out of the picture."""
        top = solid.half_height + half

        def centre(t: np.ndarray) -> np.ndarray:
            x = path(np.minimum(t, release))
            return x + np.stack([0 * t, 0 * t, top + 0.16 * np.maximum(t - release, 0)], 1)

        self.rod(centre, half=half)

    def span(self, start: float, end: float) -> None:
        """The action lasts from `start` to `end`, frames; progress is the share of that time gone by."""
        self.progress = np.clip((self.times - start) / (end - start), 0, 1)

    def heading(self, rate: float = 0.0) -> np.ndarray:
        """A drawn heading, turning at up to `rate` radians per frame."""
        return physics.spin(self.draw.uniform(0, np.pi), self.draw.uniform(-rate, rate), self.times)

    def disc(self, solid: Solid, role: str, place: tuple[float, float], velocity: tuple[float, float]) -> None:
        """A thing on the floor that glides freely; all of a clip's discs are set in motion together by `settle`."""
        self.discs.append((solid, role, np.array(place, float), np.array(velocity, float)))

    def bystanders(self, strips: tuple[float, ...] = LANES, axis: int = 0, moving: bool = True) -> None:
        """Fill up to the clip's number of objects: things that rest or glide along free strips (axis 0: along x)."""
        for _ in range(self.objects - len(self.taken)):
            solid = self.take()
            place = self._free_place(solid, strips, axis)
            if place is None:
                self.taken.remove(solid.class_id)
                continue
            rests = not moving or self.draw.random() < RESTING
            speed = 0.0 if rests else self.draw.uniform(*GLIDING) * self.draw.choice([-1, 1])
            self.disc(solid, "bystander", (place[0], place[1]), (speed, 0.0) if axis == 0 else (0.0, speed))
            self.asides.append(_aside(*self.discs[-1][::2], self.discs[-1][3]))

    def _free_place(self, solid: Solid, strips: tuple[float, ...], axis: int) -> np.ndarray | None:
        low, high = BOUNDS[axis] + [solid.reach + 0.05, -solid.reach - 0.05]
        for _ in range(40):
            place = np.empty(2)
            place[axis], place[1 - axis] = self.draw.uniform(low, high), self.draw.choice(strips)
            if all(np.linalg.norm(place - x) > solid.reach + other.reach + 0.05 for other, _, x, _ in self.discs):
                return place
        return None

    def settle(self) -> None:
        """Let the discs glide: elastic collisions; balls roll, the others keep turning at a constant rate."""
        if not self.discs:
            return
        solids, roles, x, v = zip(*self.discs, strict=True)
        radii, masses = np.array([s.reach for s in solids]), np.array([s.mass for s in solids])
        motion = physics.glide(np.array(x), np.array(v), radii, masses, BOUNDS, self.frames)
        places, speeds = motion.at(self.times)
        for k, (solid, role) in enumerate(zip(solids, roles, strict=True)):
            height = np.full((self.frames, 1), solid.half_height)
            positions = np.concatenate([places[:, k], height], 1)
            velocities = np.concatenate([speeds[:, k], 0 * height], 1)
            rate = 0.03 if velocities.any() else 0.0
            attitude = physics.spin(self.draw.uniform(0, np.pi), rate, self.times)
            if solid.shape == "ball":
                attitude = physics.roll(positions, solid.radius)
            self._append(solid, role, positions, velocities, attitude)


def _aside(solid: Solid, place: np.ndarray, velocity: np.ndarray) -> str:
    where = "in front" if place[1] < -0.7 else "at the back" if place[1] > 0.7 else "in the middle"
    if not velocity.any():
        return f"{solid.words} rests {where}"
    if velocity[0]:
        return f"{solid.words} glides to the {'right' if velocity[0] > 0 else 'left'} {where}"
    side = "on the left" if place[0] < -0.7 else "on the right" if place[0] > 0.7 else "in the middle"
    return f"{solid.words} glides {'away' if velocity[1] > 0 else 'closer'} {side}"


def scenery(seed: int, group: str) -> Scenery:
    """Light, floor and stock of objects of one recording group; `group` names it together with its class."""
    draw = rng(seed, "world group", group)
    azimuth, elevation = draw.uniform(-1.0, 1.0) - np.pi / 2, draw.uniform(0.85, 1.15)
    light = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    stock = tuple(int(c) for c in draw.permutation(CLASSES) + 1)
    return Scenery(str(draw.choice(list(FLOORS))), float(draw.uniform(0.84, 0.96)), light, stock)
