"""A clip of the world: staged from (seed, id, sizes), then painted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from framecast.core.seeding import rng
from framecast.world import texts
from framecast.world.actions import ACTIONS
from framecast.world.render import Picture, render
from framecast.world.stage import Body, Scenery, Stage, scenery

VIDEO_ID = re.compile(r"(?P<label>\w+)/v_(?P=label)_g(?P<group>\d{2,})_c(?P<clip>\d{2})\.mp4")


@dataclass(frozen=True)
class Clip:
    """One simulated clip, not rendered yet."""

    video_id: str
    label: str
    group: str
    scenery: Scenery
    stage: Stage
    placeholders: list[str]
    caption: str

    @property
    def objects(self) -> list[Body]:
        return [body for body in self.stage.bodies if body.class_id]


def simulate(source: dict[str, Any], video_id: str) -> Clip:
    """Stage one clip: places, speeds, attitudes, texts; no pixels.

    Raises ValueError for an id that no world has.
    """
    match = VIDEO_ID.fullmatch(video_id)
    if not match or match["label"] not in ACTIONS:
        raise ValueError(f"{video_id!r} is no video of the embedded world: they are named Class/v_Class_g01_c01.mp4, "
                         f"with the classes {', '.join(sorted(ACTIONS))}")  # fmt: skip
    label, group = match["label"], f"{match['label']}/g{match['group']}"
    surroundings = scenery(source["seed"], group)
    draw = rng(source["seed"], "world clip", video_id)
    frames = int(draw.integers(source["frames"][0], source["frames"][1] + 1))
    objects = int(draw.integers(source["objects"][0], source["objects"][1] + 1))
    stage = Stage(surroundings, draw, frames, objects, int(match["clip"]) - 1)
    action = ACTIONS[label]
    solids, sentence = action.stage(stage, **action.settings)
    stage.settle()
    caption = texts.caption(sentence, stage.asides, surroundings.floor)
    return Clip(video_id, label, group, surroundings, stage, [solid.words for solid in solids], caption)


def paint(source: dict[str, Any], clip: Clip, frames: int | None = None) -> Picture:
    """Render a clip, or its first `frames`, at the source's size."""
    bodies = [body.at(slice(frames)) for body in clip.stage.bodies]
    return render(clip.scenery, bodies, clip.stage.props, source["height"], source["width"])
