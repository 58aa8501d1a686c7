"""The embedded world's physics: conservation, closed forms against small steps, rolling."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from framecast.world import physics
from framecast.world.clips import simulate
from framecast.world.generation import video_ids
from framecast.world.stage import BOUNDS

SOURCE = {
    "kind": "world", "seed": 7, "videos": 26, "frames": [44, 64], "height": 64, "width": 96, "fps": 12,
    "objects": [1, 3],
}  # fmt: skip


@pytest.fixture(scope="module")
def motion():
    draw = np.random.default_rng(0)
    x = np.array([[-2.0, -1], [-0.5, 0.8], [1, -0.7], [2, 1]])
    v, masses = draw.normal(0, 0.12, (4, 2)), np.array([1.0, 2, 1, 2])
    return physics.glide(x, v, np.array([0.55, 0.65, 0.48, 0.55]), masses, BOUNDS, 300), masses


def test_energy_is_conserved_and_momentum_in_every_collision(motion):
    trace, masses = motion
    energy = (masses[:, None] * trace.velocities**2).sum((1, 2)) / 2
    assert len(energy) > 20 and np.allclose(energy, energy[0], rtol=1e-12)
    momentum = (masses[:, None] * trace.velocities).sum(1)
    changed = (np.abs(np.diff(trace.velocities, axis=0)) > 0).any(2).sum(1)
    collisions = changed == 2  # of two discs; a wall changes one velocity
    assert collisions.sum() >= 3
    assert np.allclose(np.diff(momentum, axis=0)[collisions], 0, atol=1e-12)


def test_discs_never_overlap_nor_leave_the_box(motion):
    trace, _ = motion
    x, _ = trace.at(np.linspace(0, 299, 3000))
    radii = np.array([0.55, 0.65, 0.48, 0.55])
    gaps = [np.linalg.norm(x[:, i] - x[:, j], axis=1) - radii[i] - radii[j] for i in range(4) for j in range(i)]
    assert np.min(gaps) > -1e-9
    assert (x - radii[:, None] - BOUNDS[:, 0] > -1e-9).all() and (BOUNDS[:, 1] - x - radii[:, None] > -1e-9).all()


def test_head_on_collision_of_equals_swaps_velocities():
    x, v = np.array([[-1.0, 0], [1.0, 0]]), np.array([[0.1, 0], [0.0, 0]])
    trace = physics.glide(x, v, np.array([0.5, 0.5]), np.ones(2), np.array([[-9.0, 9], [-9, 9]]), 40)
    assert np.allclose(trace.velocities[-1], v[::-1]) and trace.times[-1] == pytest.approx(10)


def test_one_heavy_one_light_by_hand():
    # Masses 2 and 1, speeds 0.3 and 0: afterwards 0.1 and 0.4.
    x, v = np.array([[-1.0, 0], [1.0, 0]]), np.array([[0.3, 0], [0.0, 0]])
    trace = physics.glide(x, v, np.array([0.5, 0.5]), np.array([2.0, 1]), np.array([[-99.0, 99], [-9, 9]]), 20)
    assert np.allclose(trace.velocities[-1, :, 0], [0.1, 0.4])


def test_bounce_agrees_with_small_steps():
    times, z, v, step = np.arange(0, 60, 0.5), 1.9, 0.0, 1e-4
    expected = []
    for number in range(int(60 / step)):
        if number % 5000 == 0:
            expected.append(z)
        v -= physics.GRAVITY * step
        z += v * step
        if z < 0:
            z, v = -z, -0.7 * v
    assert np.abs(physics.bounce(times, 1.9, 0.7) - expected).max() < 5e-3


def test_bounce_waits_before_release_and_rests_after():
    heights = physics.bounce(np.array([-3.0, 0.0, physics.rest_time(1.0, 0.6) + 1]), 1.0, 0.6)
    assert heights.tolist() == [1.0, 1.0, 0.0]


def test_slope_keeps_energy_and_repeats():
    speed, slowing, flat = 0.2, 0.018, 0.6
    period = 2 * speed / slowing + 2 * flat / speed
    t = np.linspace(0, 3 * period, 20000)
    way = physics.slope_cycle(t, speed, slowing, flat)
    rate = np.gradient(way, t)
    energy = rate**2 / 2 + slowing * np.maximum(way, 0)
    inside = np.abs(np.gradient(rate)) < 2e-4  # away from the stop, where the speed turns round in an instant
    assert np.allclose(energy[inside], speed**2 / 2, rtol=0.02)
    assert np.allclose(way, physics.slope_cycle(t + period, speed, slowing, flat), atol=1e-9)
    assert way.min() == pytest.approx(-flat, abs=2e-3) and way.max() == pytest.approx(speed**2 / 2 / slowing, abs=2e-3)


def test_reflect_is_the_motion_between_two_walls():
    t = np.arange(0, 200.0)
    x = np.array([[0.3, 0.0]])
    trace = physics.glide(x, np.array([[0.11, 0]]), np.array([0.5]), np.ones(1), np.array([[-2.9, 2.9], [-2, 2]]), 200)
    assert np.allclose(physics.reflect(0.3, 0.11, -2.4, 2.4, t), trace.at(t)[0][:, 0, 0])


def test_a_rolling_ball_does_not_slip():
    """After a quarter turn a ball is a quarter of its girth further on."""
    x = np.stack([np.linspace(0, np.pi / 2 * 0.5, 50), np.zeros(50), np.full(50, 0.5)], 1)
    attitude = physics.roll(x, 0.5)
    turned = attitude[-1] @ attitude[0].T
    assert np.allclose(turned @ [0, 0, 1], [1, 0, 0], atol=1e-9)  # what was on top is now in front
    assert np.allclose(attitude @ attitude.transpose(0, 2, 1), np.eye(3), atol=1e-12)


def test_objects_of_every_clip_keep_apart_and_inside_the_room():
    for video_id in video_ids(SOURCE):
        clip = simulate(SOURCE, video_id)
        entering = {"Cover", "PlugUnplug"}  # where one goes over or into the other
        for i, one in enumerate(clip.objects):
            lowest = one.positions[:, 2] - one.half_height
            assert lowest.min() > -1e-6 or clip.label == "RollSlope", video_id
            assert np.abs(one.positions[:, 0]).max() < BOUNDS[0, 1], video_id
            for two in clip.objects[:i]:
                if clip.label in entering and {one.role, two.role} == {"actor", "target"}:
                    continue
                between = one.positions - two.positions
                flat = np.linalg.norm(between[:, :2], axis=1) - one.radius - two.radius
                high = np.abs(between[:, 2]) - one.half_height - two.half_height
                assert np.maximum(flat, high).min() > -0.01, (video_id, one.role, two.role)


def test_velocities_are_the_slopes_of_the_positions():
    for video_id in video_ids(SOURCE):
        for body in simulate(SOURCE, video_id).objects:
            step, mean = np.diff(body.positions, axis=0), (body.velocities[1:] + body.velocities[:-1]) / 2
            smooth = np.abs(np.diff(body.velocities, axis=0)).max(1) < 0.06  # no bounce, no turn of a path within
            assert smooth.mean() > 0.5
            assert np.abs(step - mean)[smooth].max() < 0.03, (video_id, body.role)


def test_the_physics_is_frozen():
    """Models, baselines and published figures stand on these states. Where this changes, all of them are made anew."""
    state = hashlib.sha256()
    for video_id in video_ids(SOURCE):
        clip = simulate(SOURCE, video_id)
        for body in clip.objects:
            state.update(f"{video_id} {body.class_id} {body.role} {clip.placeholders}".encode())
            state.update(
                np.round(np.concatenate([body.positions, body.velocities], 1) * 1e4).astype(np.int64).tobytes()
            )
        state.update(np.round(clip.stage.progress * 1e4).astype(np.int64).tobytes())
    assert state.hexdigest()[:16] == "ad5c30103e38ed46"
