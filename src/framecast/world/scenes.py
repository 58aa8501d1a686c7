"""What happens in the clips: each function stages one and returns what its text needs.

A scene is a function `(stage, **settings) -> (objects that the text names, main clause of the caption)`.
"""

from __future__ import annotations

import numpy as np

from framecast.world import physics
from framecast.world.objects import Solid
from framecast.world.stage import BOUNDS, LANES, Prop, Stage

Array = np.ndarray
Words = tuple[list[Solid], str]
SPOT = 1.3  # objects that act on one spot stand at most this far from the middle, world units
HIGH = 1.9  # bottom of things that are carried, world units


def _others(lane: float) -> tuple[float, ...]:
    return tuple(other for other in LANES if other != lane)


def _pace(stage: Stage, lead: float = 4, trail: float = 6) -> tuple[float, float]:
    """First and last moment of an action that fills most of the clip, frames."""
    return stage.draw.uniform(0, lead), stage.frames - 1 - stage.draw.uniform(0, trail)


def _tempo(units: float, start: float, end: float) -> str:
    return "quickly" if units / (end - start) > 0.088 else "slowly"


# --- move ------------------------------------------------------------------------------------------------------------


def drag(stage: Stage, verb: str, side: int) -> Words:
    """Pushed (rod behind) or pulled (rod ahead) along x at a constant speed: the place is the progress."""
    solid, lane = stage.take(), float(stage.draw.choice(LANES))
    start, end = _pace(stage)
    reach, z = 2.15, solid.half_height
    path = physics.along([(-side * reach, lane, z), (side * reach, lane, z)], [start, end])
    stage.add(solid, "actor", path, stage.heading() if solid.shape != "cube" else physics.spin(0, 0, stage.times))
    gap = (solid.radius + 0.07) * side * (-1 if verb == "pushed" else 1)
    stage.rod(lambda t: path(t) + np.array([gap, 0, 2.1 - z]), half=2.0)
    stage.span(start, end)
    stage.bystanders(_others(lane))
    way = "from left to right" if side > 0 else "from right to left"
    return [solid], f"{solid.words} is {verb} {way} {_tempo(2 * reach, start, end)}"


def depth(stage: Stage, side: int) -> Words:
    """Moved away from (side 1) or towards (−1) the camera at a constant speed."""
    columns = (-1.8, 0.0, 1.8)
    solid, column = stage.take(), float(stage.draw.choice(columns))
    start, end = _pace(stage)
    near, z = -side * 1.45, solid.half_height
    path = physics.along([(column, near, z), (column, -near, z)], [start, end])
    stage.add(solid, "actor", path)
    stage.hold(solid, path)
    stage.span(start, end)
    stage.bystanders(tuple(c for c in columns if c != column), axis=1)
    return [solid], f"{solid.words} is moved {'away from' if side > 0 else 'towards'} the camera"


def lift(stage: Stage, side: int) -> Words:
    """Moved up (side 1) or down (−1) at a constant speed."""
    solid, x = stage.take(), stage.draw.uniform(-2, 2)
    start, end = _pace(stage)
    low, high = solid.half_height, solid.half_height + HIGH
    path = physics.along([(x, 0.0, low), (x, 0.0, high)][::side], [start, end])
    stage.add(solid, "actor", path, stage.heading(0.05))
    stage.hold(solid, path)
    stage.span(start, end)
    stage.bystanders(_others(0.0))
    return [solid], f"{solid.words} is moved {'up from the floor' if side > 0 else 'down to the floor'}"


# --- drop ------------------------------------------------------------------------------------------------------------


def _drop(stage: Stage, solid: Solid, x: float, y: float, ground: float = 0.0, restitution: float = 0.72) -> None:
    """Carried in from one side, let go above (x, y), falls and bounces on `ground`."""
    side, release = float(stage.draw.choice([-1, 1])), stage.draw.uniform(5, 14)
    away, z = (x + side * stage.draw.uniform(0.8, 1.6), y), solid.half_height
    carry = physics.along([(*away, HIGH + z), (x, y, HIGH + z)], [0, release])

    def path(t: Array) -> Array:
        place = carry(t)
        place[:, 2] = z + ground + physics.bounce(t - release, HIGH - ground, restitution)
        return place

    stage.add(solid, "actor", path, stage.heading())
    stage.hold(solid, carry, release)
    stage.span(0, min(release + physics.rest_time(HIGH - ground, restitution), stage.frames - 1))


def _stand(stage: Stage, solid: Solid, x: float, y: float = 0.0) -> None:
    """A thing that the action is done to stands at (x, y)."""
    stage.add(solid, "target", lambda t: np.tile([x, y, solid.half_height], (len(t), 1)))


def drop_beside(stage: Stage, how: str) -> Words:
    """Dropped behind, in front of, or next to a thing that stands there."""
    target, solid = stage.take(), stage.take()
    x = stage.draw.uniform(-SPOT, SPOT)
    inward = x - np.copysign(target.reach + solid.reach + 0.15, x)
    front, middle, _ = LANES
    (stands, falls, aside) = {
        "behind": (front, middle, x), "in front of": (middle, front, x), "next to": (middle, middle, inward),
    }[how]  # fmt: skip
    _stand(stage, target, x, stands)
    _drop(stage, solid, aside, falls)
    stage.bystanders(tuple(lane for lane in LANES if lane not in (stands, falls)))
    return [solid, target], f"{solid.words} is dropped {how} {target.words}"


def drop_onto(stage: Stage) -> Words:
    """Dropped onto a thing with a flat top, where it bounces and stays."""
    target, solid = stage.take(("cube", "cylinder"), scale=0.85), stage.take(scale=0.9)
    x = stage.draw.uniform(-SPOT, SPOT)
    _stand(stage, target, x)
    _drop(stage, solid, x, 0.0, 2 * target.half_height, 0.8)
    stage.bystanders(_others(0.0))
    return [solid, target], f"{solid.words} is dropped onto {target.words}"


def fall(stage: Stage) -> Words:
    """Carried along on high, let go on the way: it keeps its speed, falls, bounces, and turns round at the walls."""
    solid = stage.take()
    side, release = float(stage.draw.choice([-1, 1])), stage.draw.uniform(4, 12)
    speed, start, z = side * stage.draw.uniform(0.05, 0.1), -side * stage.draw.uniform(1.0, 2.2), solid.half_height
    wall = BOUNDS[0, 1] - solid.reach

    def path(t: Array) -> Array:
        x = physics.reflect(start, speed, -wall, wall, t)
        return np.stack([x, 0 * t, z + physics.bounce(t - release, HIGH, 0.72)], 1)

    stage.add(solid, "actor", path, stage.heading(0.05))
    stage.hold(solid, path, release)
    stage.span(0, min(release + physics.rest_time(HIGH, 0.72), stage.frames - 1))
    stage.bystanders(_others(0.0))
    return [solid], f"{solid.words} falls like a rock while flying to the {_way(side)} and bounces"


# --- cover -----------------------------------------------------------------------------------------------------------


def _lower(stage: Stage, solid: Solid, x: float, ground: float, attitude: Array | None = None) -> None:
    """Carried in on high from one side, lowered onto `ground`, let go."""
    side, z = float(stage.draw.choice([-1, 1])), solid.half_height
    turn, end = stage.frames * stage.draw.uniform(0.3, 0.45), stage.frames - 1 - stage.draw.uniform(2, 7)
    corners = [(x + side * stage.draw.uniform(1.6, 2.4), 0.0, HIGH + z), (x, 0.0, HIGH + z), (x, 0.0, ground + z)]
    path = physics.along(corners, [0, turn, end])
    stage.add(solid, "actor", path, attitude)
    stage.hold(solid, path, end)
    stage.span(0, end)


def cover(stage: Stage) -> Words:
    """A large cube or cylinder, hollow from below, is put over a small thing until nothing of it is seen."""
    hidden, solid = stage.take(scale=0.72), stage.take(("cube", "cylinder"), scale=1.35)
    x = stage.draw.uniform(-SPOT, SPOT)
    _stand(stage, hidden, x)
    # Nearly square to the room: a large cube that turned would reach into the neighbouring lanes.
    _lower(stage, solid, x, 0.0, physics.spin(stage.draw.uniform(-0.1, 0.1), 0.0, stage.times))
    stage.bystanders(_others(0.0))
    return [hidden, solid], f"{hidden.words} is covered with {solid.words}"


def put_onto(stage: Stage) -> Words:
    """Lowered onto a thing with a flat top."""
    target, solid = stage.take(("cube", "cylinder"), scale=0.85), stage.take(scale=0.9)
    x = stage.draw.uniform(-SPOT, SPOT)
    _stand(stage, target, x)
    _lower(stage, solid, x, 2 * target.half_height)
    stage.bystanders(_others(0.0))
    return [solid, target], f"{solid.words} is put onto {target.words}"


def put_down(stage: Stage) -> Words:
    """Lowered onto the floor."""
    solid = stage.take()
    _lower(stage, solid, stage.draw.uniform(-SPOT, SPOT), 0.0)
    stage.bystanders(_others(0.0))
    return [solid], f"{solid.words} is put on the floor"


# --- back and forth --------------------------------------------------------------------------------------------------


def slope(stage: Stage) -> Words:
    """Rolls up a slope, back down, over the flat to an elastic stop, and again.

    Of gravity along the slope, 5/7 accelerates a rolling ball and 2/3 a rolling cylinder; the rest goes into its spin.
    """
    solid, side = stage.take(("ball", "cylinder")), float(stage.draw.choice([-1, 1]))
    angle, flat = stage.draw.uniform(0.42, 0.55), stage.draw.uniform(0.4, 1.0)
    slowing = physics.GRAVITY * np.sin(angle) * (5 / 7 if solid.shape == "ball" else 2 / 3)
    speed, foot = np.sqrt(2 * slowing * stage.draw.uniform(0.8, 1.5)), stage.draw.uniform(-0.4, 0.4)
    lead = stage.draw.uniform(0, flat / speed)
    touching = foot - solid.radius * np.tan(angle / 2)  # where its centre is when it touches both floor and slope

    def way(t: Array) -> Array:
        return physics.slope_cycle(t - lead, speed, slowing, flat)

    def path(t: Array) -> Array:
        up, back = np.maximum(way(t), 0), np.minimum(way(t), 0)
        x = side * (touching + back + up * np.cos(angle))
        return np.stack([x, 0 * t, solid.radius + up * np.sin(angle)], 1)

    stage.add(solid, "actor", path, physics.roll_along_x(side * way(stage.times), solid.radius, solid.shape))
    stage.props += [_wedge(side, foot, angle), _block(side, touching - flat - solid.radius)]
    stage.span(0, stage.frames - 1)
    stage.bystanders(_others(0.0))
    return [solid], f"{solid.words} rolls up a slope on the {_way(side)} and back down again and again"


def _wedge(side: float, foot: float, angle: float) -> Prop:
    """A slope that rises from x = side × foot outwards."""
    normals = [[-side * np.sin(angle), 0, np.cos(angle)], [side, 0, 0], [0, -1, 0], [0, 1, 0]]
    return Prop(np.array(normals), np.array([-foot * np.sin(angle), BOUNDS[0, 1], 0.6, 0.6]))


def _block(side: float, face: float) -> Prop:
    """A low stop whose inner face is at x = side × face."""
    normals = [[side, 0, 0], [-side, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, 1]]
    return Prop(np.array(normals, float), np.array([face, 0.25 - face, 0.6, 0.6, 0.65]))


def throw(stage: Stage) -> Words:
    """Thrown up from a paddle and caught on it, held for a moment, thrown again."""
    solid, x = stage.take(), stage.draw.uniform(-2, 2)
    speed, held = np.sqrt(2 * physics.GRAVITY * stage.draw.uniform(0.9, 1.7)), stage.draw.uniform(1, 4)
    low, lead, flight = solid.half_height + 0.7, stage.draw.uniform(0, 5), 2 * speed / physics.GRAVITY

    def path(t: Array) -> Array:
        since = np.mod(t - lead, flight + held)
        up = np.maximum(speed * since - physics.GRAVITY * since**2 / 2, 0)
        return np.stack([x + 0 * t, 0 * t, low + up], 1)

    stage.add(solid, "actor", path, stage.heading(0.05))
    stage.rod(lambda t: np.tile([x, 0, 0.64], (len(t), 1)), radius=0.5, half=0.06)
    stage.rod(lambda t: np.tile([x, 0, 0.3], (len(t), 1)), radius=0.1, half=0.3)
    stage.span(0, stage.frames - 1)
    stage.bystanders(_others(0.0))
    return [solid], f"{solid.words} is thrown in the air and caught again and again"


def plug(stage: Stage) -> Words:
    """A narrow cylinder is plugged into the top of a thing and pulled right out, again and again."""
    socket, solid = stage.take(("cube", "cylinder")), stage.take(("cylinder",), scale=0.75)
    x, period = stage.draw.uniform(-2, 2), stage.draw.uniform(16, 28)
    phase, sunk, lifted = stage.draw.uniform(0, 1), 0.35, stage.draw.uniform(1.0, 1.5)
    low = 2 * socket.half_height - sunk + solid.half_height

    def path(t: Array) -> Array:
        up = (1 + np.cos(2 * np.pi * (t / period + phase))) / 2
        return np.stack([x + 0 * t, 0 * t, low + (lifted + sunk) * up], 1)

    _stand(stage, socket, x)
    stage.add(solid, "actor", path)
    stage.hold(solid, path)
    stage.span(0, stage.frames - 1)
    stage.bystanders(_others(0.0))
    return [solid, socket], f"{solid.words} is plugged into {socket.words} and pulled out again and again"


# --- without a task --------------------------------------------------------------------------------------------------


def rolling(stage: Stage) -> Words:
    """Rolls along x at a constant speed and comes back from the walls."""
    solid, lane = stage.take(("ball", "cylinder")), float(stage.draw.choice(LANES))
    side, speed, wall = float(stage.draw.choice([-1, 1])), stage.draw.uniform(0.07, 0.15), BOUNDS[0, 1] - solid.radius
    way_to_wall = min(speed * stage.frames * stage.draw.uniform(0.15, 0.7), 2 * wall)
    start = side * (wall - way_to_wall)

    def path(t: Array) -> Array:
        return np.stack([physics.reflect(start, side * speed, -wall, wall, t), lane + 0 * t, solid.radius + 0 * t], 1)

    stage.add(solid, "actor", path, physics.roll_along_x(path(stage.times)[:, 0], solid.radius, solid.shape))
    stage.span(0, stage.frames - 1)
    stage.bystanders(_others(lane))
    pace = "quickly" if speed > 0.11 else "slowly"
    return [solid], f"{solid.words} rolls {pace} to the {_way(side)} and comes back from the wall"


def collide(stage: Stage) -> Words:
    """Two things meet and are deflected; more may stand in the way."""
    one, two = stage.take(), stage.take()
    side, draw = float(stage.draw.choice([-1, 1])), stage.draw.uniform
    stage.disc(one, "actor", (-side * draw(1.4, 2.2), draw(-0.5, 0.5)), (side * draw(0.07, 0.14), draw(-0.008, 0.008)))
    stage.disc(two, "target", (side * draw(0.5, 1.8), 0.0), (-side * float(stage.draw.choice([0.0, 0.05, 0.09])), 0.0))
    stage.bystanders((LANES[0], LANES[2]), moving=False)
    stage.span(0, stage.frames - 1)
    return [one, two], f"{one.words} coming from the {_way(-side)} collides with {two.words} and both are deflected"


def _way(side: float) -> str:
    return "right" if side > 0 else "left"
