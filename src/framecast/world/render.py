"""Ray casting in numpy: colours by five rays a pixel, masks by the one through the pixel's centre.

Rays are indexed [H×W, S] with S = 5: the centre first, then four around it. A ray's direction has length 1 along the
optical axis, so its parameter is the depth. An object is cast through the window of pixels that its box covers, several
frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from framecast.world.stage import BOUNDS, FLOORS, Body, Prop, Scenery

Array = np.ndarray
OFFSETS = np.array([[0, 0], [-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])  # rotated grid
S = len(OFFSETS)
EYE = np.array([0.0, -9.4, 4.7])
LOOK_AT = np.array([0.0, 0.0, 1.15])
VIEW = (6.6, 4.4)  # world units across and up that fit the picture at the distance of LOOK_AT
FAR = np.float32(1e9)
CHUNK = 120_000  # pixels painted together: the arrays stay in the processor's cache


@dataclass(frozen=True)
class Camera:
    """A fixed pinhole camera. Pixel centres lie at whole numbers: column 0 … W−1, row 0 … H−1."""

    height: int
    width: int
    focal: float  # pixels
    axes: Array  # [3,3] rows: right, down, forward, in world axes
    rays: Array  # [3, H×W, S] float32 directions in world axes

    def project(self, points: Array) -> tuple[Array, Array, Array]:
        """World points [...,3] → column, row (pixels), depth (world units along the optical axis)."""
        x, y, depth = np.moveaxis((points - EYE) @ self.axes.T, -1, 0)
        return self.focal * x / depth + (self.width - 1) / 2, self.focal * y / depth + (self.height - 1) / 2, depth


@lru_cache(maxsize=4)
def camera(height: int, width: int) -> Camera:
    forward = (LOOK_AT - EYE) / np.linalg.norm(LOOK_AT - EYE)
    right = np.array([1.0, 0, 0])
    axes = np.stack([right, np.cross(forward, right), forward])
    focal = min(width / VIEW[0], height / VIEW[1]) * float(np.linalg.norm(LOOK_AT - EYE))
    row, column = np.mgrid[:height, :width].reshape(2, -1, 1)
    x = (column + OFFSETS[:, 0] - (width - 1) / 2) / focal
    y = (row + OFFSETS[:, 1] - (height - 1) / 2) / focal
    rays = axes[0][:, None, None] * x + axes[1][:, None, None] * y + axes[2][:, None, None]
    return Camera(height, width, focal, axes, rays.astype(np.float32))


@dataclass(frozen=True)
class Room:
    """What is seen without objects."""

    point: Array  # [3, H×W] world point at each pixel's centre
    depth: Array  # [H×W, S] of props; walls and floor are behind everything
    colour: Array  # [H×W, 3] 0 to 255


@dataclass(frozen=True)
class Hits:
    """The rays that meet one body."""

    place: Array  # [N] index into [T, H×W, S], rising
    depth: Array  # [N]
    colour: Array  # [3, N] 0 to 255

    def repeated(self, count: int, stride: int) -> Hits:
        """The same hits in `count` frames."""
        place = (np.arange(count)[:, None] * stride + self.place).ravel()
        return Hits(place, np.tile(self.depth, count), np.tile(self.colour, (1, count)))


@dataclass(frozen=True)
class Picture:
    """A rendered clip."""

    frames: Array  # uint8 [T,H,W,3] RGB
    masks: Array  # uint8 [T,H,W] 0 background, 1–48 class
    visible: Array  # float32 [T,N] share of an object's pixels that nothing hides; 0 when it has none in the picture


def render(scenery: Scenery, bodies: list[Body], props: list[Prop], height: int, width: int) -> Picture:
    """Paint a clip. Bodies with class 0 hide objects but are background in the masks."""
    view, count = camera(height, width), len(bodies[0].positions)
    room = _background(view, scenery, props)
    still = {k: _cast(view, scenery, body) for k, body in enumerate(bodies) if body.still}
    step = max(1, CHUNK // (height * width))
    parts = [
        _render_part(view, scenery, [body.at(slice(start, start + step)) for body in bodies], room, still)
        for start in range(0, count, step)
    ]
    return Picture(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _render_part(
    view: Camera, scenery: Scenery, bodies: list[Body], room: Room, still: dict[int, Hits]
) -> tuple[Array, Array, Array]:
    count, area = len(bodies[0].positions), view.height * view.width
    canvas = np.repeat(room.colour[None], count, axis=0)  # [T, H×W, 3]
    for body in bodies:
        _shade_ground(view, scenery, body, room.point, canvas)
    hits = [still[k].repeated(count, area * S) if k in still else _cast(view, scenery, b) for k, b in enumerate(bodies)]
    depths = np.repeat(room.depth.reshape(1, -1), count, axis=0).ravel()  # [T×H×W×S]
    owner = np.full(depths.shape, 255, np.uint8)
    for k, hit in enumerate(hits):
        nearer = hit.depth < depths[hit.place]
        place = hit.place[nearer]
        depths[place] = hit.depth[nearer]
        owner[place] = k
    _paint(canvas.reshape(-1, 3), owner, hits)
    frames = np.clip(canvas + 0.5, 0, 255).astype(np.uint8).reshape(count, view.height, view.width, 3)
    return frames, *_masks(owner, bodies, hits, frames.shape[:3])


def _paint(canvas: Array, owner: Array, hits: list[Hits]) -> None:
    """Average the five rays of each pixel: those that hit an object take its colour, the others the background's."""
    covered, total = np.zeros(len(canvas), np.float32), np.zeros((3, len(canvas)), np.float32)
    for k, hit in enumerate(hits):
        seen = owner[hit.place] == k
        pixel = hit.place[seen] // S
        covered += np.bincount(pixel, minlength=len(canvas))
        for channel in range(3):
            total[channel] += np.bincount(pixel, weights=hit.colour[channel][seen], minlength=len(canvas))
    touched = np.flatnonzero(covered)
    canvas[touched] = canvas[touched] * (1 - covered[touched] / S)[:, None] + total[:, touched].T / S


def _masks(owner: Array, bodies: list[Body], hits: list[Hits], shape: tuple[int, ...]) -> tuple[Array, Array]:
    table = np.zeros(256, np.uint8)
    table[: len(bodies)] = [body.class_id for body in bodies]
    centre = owner.reshape(-1, S)[:, 0]
    area = shape[1] * shape[2]
    visible = np.zeros((shape[0], len(bodies)), np.float32)
    for k, hit in enumerate(hits):
        middle = hit.place[hit.place % S == 0] // S
        every = np.bincount(middle // area, minlength=shape[0])
        seen = np.bincount(middle[centre[middle] == k] // area, minlength=shape[0])
        visible[:, k] = seen / np.maximum(every, 1)
    return table[centre].reshape(shape), visible


# --- background ------------------------------------------------------------------------------------------------------


def _background(view: Camera, scenery: Scenery, props: list[Prop]) -> Room:
    rays = view.rays.astype(float)
    floor, walls = -EYE[2] / np.minimum(rays[2], -1e-9), []
    for axis, bound in ((0, BOUNDS[0, 0]), (0, BOUNDS[0, 1]), (1, BOUNDS[1, 1])):
        reach = (bound - EYE[axis]) / np.where(rays[axis] == 0, 1e-12, rays[axis])
        walls.append(np.where(reach > 0, reach, np.inf))
    depth = np.min([floor, *walls], 0)
    which = np.argmin([floor, *walls], 0)
    base = np.array(FLOORS[scenery.floor], float)
    tint = np.array([1.0, *(scenery.wall_tint * np.array([0.94, 1.02, 1.0]))])[which]
    point = EYE[:, None, None] + rays * depth
    tint = tint * (1 + 0.03 * point[1] + 0.012 * point[0] * np.sign(scenery.light[0]))
    tint *= 1 - 0.12 * np.exp(-3 * _corner(point, which))
    far = np.full(depth.shape, FAR, np.float32)
    for prop in props:
        near, facing = _convex(EYE, rays, prop)
        depth = np.minimum(depth, near)
        solid = near < far
        tint = np.where(solid, 0.6 + 0.3 * facing @ scenery.light.clip(-1, 1), tint)
        far = np.where(solid, near, far).astype(np.float32)
    colour = (tint[..., None] * base).mean(1)
    point = EYE[:, None] + rays[:, :, 0] * depth[:, 0]
    return Room(point.astype(np.float32), far, colour.astype(np.float32))


def _corner(point: Array, which: Array) -> Array:
    """Distance of a point of the room from the nearest edge between floor and walls."""
    side = np.minimum(point[0] - BOUNDS[0, 0], BOUNDS[0, 1] - point[0])
    back = BOUNDS[1, 1] - point[1]
    on_floor = np.minimum(side, back)
    return np.where(which == 0, on_floor, np.where(which == 3, np.minimum(point[2], side), np.minimum(point[2], back)))


def _convex(eye: Array, rays: Array, prop: Prop) -> tuple[Array, Array]:
    """Depth at which rays [3,P,S] enter a convex block (infinite where they miss) and the normal [P,S,3] there."""
    slope = np.einsum("fa,aps->fps", prop.normals, rays)
    with np.errstate(divide="ignore"):
        reach = (prop.offsets - prop.normals @ eye)[:, None, None] / slope
    enter = np.where(slope < 0, reach, -np.inf)
    leave = np.where(slope > 0, reach, np.inf).min(0)
    near = enter.max(0)
    return np.where((near < leave) & (near > 0), near, np.inf), prop.normals[enter.argmax(0)]


def _shade_ground(view: Camera, scenery: Scenery, body: Body, ground: Array, canvas: Array) -> None:
    """Darken what lies in a body's soft shadow, and where it touches the floor."""
    centre, light = body.shown[0].astype(np.float32), scenery.light.astype(np.float32)
    radius = body.radius * (1.15 if body.shape == "cube" else 1.0)
    if body.half_height > 4 * radius:  # a rod throws no shadow worth the time
        return
    bottom = np.maximum(centre[:, 2:] - body.half_height, 0)
    soft = 0.3 + 0.25 * bottom
    fallen = centre - light * (centre[:, 2:] / light[2])
    box = np.array([[dx, dy, dz] for dx in (-1, 1) for dy in (-1, 1) for dz in (-1, 1)]) * radius
    widest = (1 + soft.max()) / light[2]  # the shadow of a slanting light is longer than it is wide
    pixels = _window(
        view, np.concatenate([centre[:, None] + 1.35 * box, fallen[:, None] + widest * box * [1, 1, 0]], 1)
    )
    to = [centre[:, axis, None] - ground[axis][pixels] for axis in range(3)]
    towards = to[0] * light[0] + to[1] * light[1] + to[2] * light[2]
    aside = np.sqrt(np.maximum(to[0] ** 2 + to[1] ** 2 + to[2] ** 2 - towards**2, 0)) / radius
    shadow = 0.42 / (1 + 0.3 * bottom) * _smooth((1 + soft - aside) / (2 * soft)) * (towards > 0)
    flat = np.sqrt(to[0] ** 2 + to[1] ** 2) / radius
    touch = 0.4 * np.maximum(1 - 2 * bottom, 0) * _smooth((1.35 - flat) / 0.6) * (ground[2][pixels] < 1e-3)
    factor = ((1 - shadow) * (1 - touch))[..., None]
    if body.still:
        canvas[:, pixels[0]] *= factor
    else:
        rows = np.arange(len(canvas))[:, None]
        canvas[rows, pixels] *= factor


def _smooth(x: Array) -> Array:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


# --- objects ---------------------------------------------------------------------------------------------------------


def _window(view: Camera, points: Array) -> Array:
    """Pixel numbers [T,P] of windows of one size that cover the projections of points [T,K,3]."""
    column, row, _ = view.project(points)
    left = np.clip(np.floor(column.min(1)), 0, view.width - 1).astype(int)
    top = np.clip(np.floor(row.min(1)), 0, view.height - 1).astype(int)
    wide = int((np.clip(np.ceil(column.max(1)), left, view.width - 1) - left).max()) + 1
    high = int((np.clip(np.ceil(row.max(1)), top, view.height - 1) - top).max()) + 1
    left, top = np.minimum(left, view.width - wide), np.minimum(top, view.height - high)
    grid = np.arange(high)[:, None] * view.width + np.arange(wide)
    return (top * view.width + left)[:, None] + grid.ravel()


def _cast(view: Camera, scenery: Scenery, body: Body) -> Hits:
    """Cast the rays of a body's window and light what they meet; of a still body, in its first frame alone."""
    centre, attitude = body.shown
    half = np.array([body.radius, body.radius, body.half_height])
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    pixels = _window(view, centre[:, None] + corners @ attitude.transpose(0, 2, 1))
    rays = view.rays[:, pixels].transpose(1, 0, 2, 3).reshape(len(pixels), 3, -1)  # [T,3,P×S]
    local = np.matmul(attitude.transpose(0, 2, 1).astype(np.float32), rays)
    start = np.einsum("tij,ti->tj", attitude, EYE - centre).astype(np.float32)  # the eye in body axes
    meet = {"ball": _ball, "cube": _cube, "cylinder": _cylinder}[body.shape]
    depth, normal = meet(start, local, half.astype(np.float32))
    frame, ray = np.nonzero(depth < FAR)
    depth = depth[frame, ray]
    point = start[frame].T + local[frame, :, ray].T * depth
    colour = _light(scenery, body, frame, point, normal(point, frame, ray), rays[frame, :, ray].T)
    place = (frame * view.height * view.width + pixels[frame, ray // S]) * S + ray % S
    return Hits(place, depth, colour)


def _ball(start: Array, rays: Array, half: Array):
    a = (rays * rays).sum(1)
    b = np.einsum("ti,tin->tn", start, rays)
    inside = b * b - a * ((start * start).sum(1) - half[0] ** 2)[:, None]
    depth = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, FAR)
    return depth, lambda point, frame, ray: point / half[0]


def _cube(start: Array, rays: Array, half: Array):
    rays = np.where(np.abs(rays) < 1e-7, np.float32(1e-7), rays)
    near = (-half[0] * np.sign(rays) - start[..., None]) / rays  # [T,3,N]
    far = near + 2 * half[0] / np.abs(rays)
    enter = near.max(1)
    depth = np.where(enter < far.min(1), enter, FAR)

    def normal(point: Array, frame: Array, ray: Array) -> Array:
        axis = near[frame, :, ray].argmax(1)
        return np.where(np.arange(3)[:, None] == axis, -np.sign(rays[frame, :, ray]).T, 0).astype(np.float32)

    return depth, normal


def _cylinder(start: Array, rays: Array, half: Array):
    x, y, z = rays[:, 0], rays[:, 1], np.where(np.abs(rays[:, 2]) < 1e-7, np.float32(1e-7), rays[:, 2])
    a = np.maximum(x * x + y * y, np.float32(1e-12))
    b = start[:, :1] * x + start[:, 1:2] * y
    inside = b * b - a * (start[:, 0] ** 2 + start[:, 1] ** 2 - half[0] ** 2)[:, None]
    root = np.sqrt(np.maximum(inside, 0))
    caps = (-half[2] * np.sign(z) - start[:, 2:]) / z
    enter = np.maximum((-b - root) / a, caps)
    leave = np.minimum((-b + root) / a, caps + 2 * half[2] / np.abs(z))
    depth = np.where((inside > 0) & (enter < leave), enter, FAR)

    def normal(point: Array, frame: Array, ray: Array) -> Array:
        on_cap = caps[frame, ray] >= enter[frame, ray]
        side = np.stack([point[0] / half[0], point[1] / half[0], 0 * point[2]])
        cap = np.stack([0 * point[0], 0 * point[1], -np.sign(z[frame, ray])])
        return np.where(on_cap, cap, side).astype(np.float32)

    return depth, normal


# --- light -----------------------------------------------------------------------------------------------------------


def _light(scenery: Scenery, body: Body, frame: Array, point: Array, facing: Array, ray: Array) -> Array:
    """Colours [3,N], 0 to 255, of hits at `point` with normal `facing` (body axes) seen along `ray` (world axes)."""
    turned = body.attitude[frame].astype(np.float32)
    normal = np.einsum("nij,jn->in", turned, facing)
    height = np.einsum("nj,jn->n", turned[:, 2], point) + body.positions[frame, 2]
    light = scenery.light.astype(np.float32)
    lit = np.maximum(light @ normal, 0)
    shade = (0.38 + 0.14 * normal[2]) * np.clip(0.75 + 0.35 * height, 0, 1)
    look = ray / np.sqrt((ray * ray).sum(0))
    mirror = look - 2 * (look * normal).sum(0) * normal
    glint = np.maximum(light @ mirror, 0)
    albedo = np.array(body.rgb, np.float32)[:, None] * (1 if body.class_id == 0 else _marking(body, point, facing))
    if body.material == "metal":
        # A bright ceiling and a floor, between them a dark horizon.
        sky, floor = _smooth((mirror[2] + 0.05) / 0.75), _smooth((-0.12 - mirror[2]) / 0.5)
        streak = _streak(body, point, mirror)
        colour = albedo * (0.5 * shade + 0.35 * lit + 0.5 * sky + 0.4 * floor + 0.45 * streak)
        colour = colour + 60 * sky + 90 * streak + 170 * glint**24
    else:
        colour = albedo * (shade + 0.62 * lit)
    return np.minimum(colour, 255)


def _streak(body: Body, point: Array, mirror: Array) -> Array:
    """Lamps that polished metal shows: a band across a cube's faces, upright bands on round things."""
    if body.shape == "cube":
        across = (point[0] + point[1] + point[2]) / body.radius
        return 0.8 * np.exp(-((across - 0.6) ** 2) * 3)
    return 0.8 * np.exp(-((mirror[0] + 0.55) ** 2) * 30) * (np.abs(mirror[2]) < 0.6)


def _marking(body: Body, point: Array, facing: Array) -> Array:
    """A darker stripe that shows how round things turn: around a ball, down a cylinder's side and across its ends."""
    if body.shape == "ball":
        return np.where(np.abs(point[2]) < 0.16 * body.radius, np.float32(0.68), np.float32(1))
    if body.shape == "cylinder":
        return np.where(np.abs(point[0]) < 0.17 * body.radius, np.float32(0.72), np.float32(1))
    return np.ones(point.shape[1], np.float32)
