"""Simple true physics, in closed form or event by event: no step size, so nothing drifts.

Units: world units, frames. x points right, y away from the camera, z up; the floor is z = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GRAVITY = 0.05
"""World units per frame²."""
Array = np.ndarray
Path = Callable[[Array], Array]
"""Times [T] in frames → positions [T,3]."""


@dataclass(frozen=True)
class Motion:
    """Discs that glide without friction: straight lines between events."""

    times: Array  # [E] start of each straight piece
    positions: Array  # [E,N,2] at its start
    velocities: Array  # [E,N,2] during it

    def at(self, times: Array) -> tuple[Array, Array]:
        """Times [T] → positions and velocities [T,N,2]."""
        piece = np.searchsorted(self.times, times, side="right") - 1
        elapsed = (times - self.times[piece])[:, None, None]
        return self.positions[piece] + elapsed * self.velocities[piece], self.velocities[piece]


def glide(positions: Array, velocities: Array, radii: Array, masses: Array, bounds: Array, end: float) -> Motion:
    """Elastic collisions of discs among themselves and with the walls of a box, up to time `end`.

    Event by event: the next contact is solved for exactly, so kinetic energy is conserved to rounding, and momentum
    is in every collision between discs. `bounds` is [[x_low, x_high], [y_low, y_high]].
    """
    x, v = positions.astype(float).copy(), velocities.astype(float).copy()
    now, pieces = 0.0, [(0.0, x.copy(), v.copy())]
    while True:
        wait, event = _next_event(x, v, radii, bounds)
        if now + wait >= end:
            break
        now, x = now + wait, x + wait * v
        _resolve(event, x, v, masses)
        pieces.append((now, x.copy(), v.copy()))
    return Motion(*(np.array(part) for part in zip(*pieces, strict=True)))


def _next_event(x: Array, v: Array, radii: Array, bounds: Array) -> tuple[float, tuple[int, int]]:
    """Time to the next contact and who meets: (disc, disc), or (disc, −1 − axis) for a wall."""
    best, event = np.inf, (0, 0)
    for i in range(len(x)):
        for axis in range(2):
            low, high = bounds[axis, 0] + radii[i], bounds[axis, 1] - radii[i]
            if v[i, axis] != 0:
                wait = max(((high if v[i, axis] > 0 else low) - x[i, axis]) / v[i, axis], 0.0)
                if wait < best:
                    best, event = wait, (i, -1 - axis)
        for j in range(i):
            wait = _contact(x[i] - x[j], v[i] - v[j], radii[i] + radii[j])
            if wait < best:
                best, event = wait, (i, j)
    return best, event


def _contact(dx: Array, dv: Array, distance: float) -> float:
    """Time until two discs touch; infinite when they part or miss."""
    closing, speed2 = dx @ dv, dv @ dv
    inside = closing**2 - speed2 * (dx @ dx - distance**2)
    if closing >= 0 or inside < 0:
        return np.inf
    return max((-closing - np.sqrt(inside)) / speed2, 0.0)


def _resolve(event: tuple[int, int], x: Array, v: Array, masses: Array) -> None:
    i, j = event
    if j < 0:
        v[i, -1 - j] *= -1
        return
    normal = (x[i] - x[j]) / np.linalg.norm(x[i] - x[j])
    impulse = 2 * masses[i] * masses[j] / (masses[i] + masses[j]) * ((v[i] - v[j]) @ normal) * normal
    v[i] -= impulse / masses[i]
    v[j] += impulse / masses[j]


def bounce(times: Array, height: float, restitution: float, speed: float = 0.0) -> Array:
    """Height above the ground of a thing let go at time 0 at `height` with upward `speed`; each bounce keeps
    `restitution` of the speed, and below 0.02 units per frame it stays down. Before time 0 it is at `height`."""
    result = np.where(times < 0, float(height), 0.0)
    start, bottom = 0.0, float(height)
    while speed > 0.02 or bottom > 0:
        landing = (speed + np.sqrt(speed**2 + 2 * GRAVITY * bottom)) / GRAVITY
        inside = (times >= start) & (times < start + landing)
        t = times[inside] - start
        result[inside] = bottom + speed * t - GRAVITY * t**2 / 2
        start, speed, bottom = start + landing, restitution * (GRAVITY * landing - speed), 0.0
    return result


def rest_time(height: float, restitution: float, speed: float = 0.0) -> float:
    """When the thing of `bounce` stays down, frames after it was let go."""
    time, bottom = 0.0, float(height)
    while speed > 0.02 or bottom > 0:
        landing = (speed + np.sqrt(speed**2 + 2 * GRAVITY * bottom)) / GRAVITY
        time, speed, bottom = time + landing, restitution * (GRAVITY * landing - speed), 0.0
    return time


def reflect(start: float, speed: float, low: float, high: float, times: Array) -> Array:
    """One axis of a constant-velocity motion between two elastic walls (a triangle wave)."""
    span = high - low
    phase = np.mod(start - low + speed * times, 2 * span)
    return low + np.where(phase > span, 2 * span - phase, phase)


def slope_cycle(times: Array, speed: float, deceleration: float, flat: float) -> Array:
    """Way of a thing that rolls up a slope (s > 0), back down, over `flat` units to an elastic stop, and again.

    s = 0 is the foot of the slope, where it is at time 0 with `speed` upwards.
    """
    up, across = 2 * speed / deceleration, flat / speed
    t = np.mod(times, up + 2 * across)
    on_flat = -np.minimum(t - up, up + 2 * across - t) * speed
    return np.where(t < up, speed * t - deceleration * t**2 / 2, on_flat)


def along(points: list[tuple[float, float, float]], at: list[float]) -> Path:
    """Straight lines through the points at the given times, at rest before and after."""
    corners = np.array(points, float)
    return lambda t: np.stack([np.interp(t, at, corners[:, axis]) for axis in range(3)], 1)


# --- attitude --------------------------------------------------------------------------------------------------------


def turn(axis: Array, angle: Array) -> Array:
    """Rotation matrices [T,3,3] about unit axes [3] or [T,3] by angles [T] (Rodrigues)."""
    angle = np.asarray(angle, float)
    x, y, z = np.broadcast_to(axis, (len(angle), 3)).T
    zero = np.zeros(len(angle))
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle)[:, None, None] * cross + (1 - np.cos(angle))[:, None, None] * (cross @ cross)


def spin(start: float, rate: float, times: Array) -> Array:
    """Attitude [T,3,3] of a thing that turns about the vertical at a constant rate, radians per frame."""
    return turn(np.array([0.0, 0.0, 1.0]), start + rate * times)


def roll(positions: Array, radius: float) -> Array:
    """Attitude [T,3,3] of a ball that rolls over the floor without slipping along positions [T,3]."""
    step = np.diff(positions, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    axis = np.stack([-step[:, 1], step[:, 0], np.zeros(len(step))], 1) / np.maximum(length, 1e-12)[:, None]
    result = [turn(np.array([1.0, 0, 0]), np.array([0.6]))[0]]
    for matrix in turn(axis, length / radius):
        result.append(matrix @ result[-1])
    return np.array(result)


def roll_along_x(way: Array, radius: float, shape: str) -> Array:
    """Attitude [T,3,3] of a ball or a lying cylinder (its axis along y) that rolls along x, given its way [T]."""
    lying = turn(np.array([1.0, 0, 0]), np.full(len(way), np.pi / 2 if shape == "cylinder" else 0.4))
    return turn(np.array([0, 1.0, 0]), way / radius) @ lying
