"""The files of a world: videos, labels, states and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast.core.files import write_json
from framecast.core.progress import track
from framecast.stores.masks import MaskWriter
from framecast.video.codec import encode
from framecast.world import texts
from framecast.world.actions import ACTIONS, ORDER
from framecast.world.clips import Clip, paint, simulate
from framecast.world.objects import Solid
from framecast.world.render import camera

CRF = 12
"""x264's quality of the files: the noise of encoding stays small beside what moves."""
LABELS = {
    "video_id": "str", "label": "str", "group": "str", "task": "str", "text": "str", "template": "str",
    "template_id": "int64", "placeholders": "object", "caption": "str", "frames": "int64", "fps": "int64",
}  # fmt: skip


def states(source: dict[str, Any], clip: Clip, visible: np.ndarray | None = None) -> pd.DataFrame:
    """One row a frame and object; `visible` [T, bodies] comes from the renderer and is left out where absent.

    Columns: video_id, frame, object (number in the clip), class_id, shape, material, colour, role, scale, x y z
    (centre) and vx vy vz (world units, per frame), column row (the centre's projection, pixels, whole numbers at
    pixel centres), depth (along the optical axis, world units), visible (share of its pixels that nothing hides),
    progress (of the clip's action, 0 to 1).
    """
    view, count = camera(source["height"], source["width"]), clip.stage.frames
    tables = []
    for number, body in enumerate(clip.objects):
        solid = Solid(body.class_id)
        column, row, depth = view.project(body.positions)
        table = {
            "video_id": clip.video_id, "frame": np.arange(count, dtype=np.int32), "object": np.int32(number),
            "class_id": np.int32(body.class_id), "shape": solid.shape, "material": solid.material,
            "colour": solid.colour, "role": body.role, "scale": body.radius / solid.radius,
            **dict(zip("xyz", body.positions.T, strict=True)),
            **dict(zip(("vx", "vy", "vz"), body.velocities.T, strict=True)),
            "column": column, "row": row, "depth": depth, "progress": clip.stage.progress,
        }  # fmt: skip
        if visible is not None:
            table["visible"] = visible[:, clip.stage.bodies.index(body)]
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def label(source: dict[str, Any], clip: Clip) -> dict[str, Any]:
    """A clip's row in the table of labels."""
    action = ACTIONS[clip.label]
    return {
        "video_id": clip.video_id, "label": clip.label, "group": clip.group, "task": action.task,
        "text": texts.fill(action.template, clip.placeholders), "template": action.template,
        "template_id": action.template_id, "placeholders": clip.placeholders, "caption": clip.caption,
        "frames": clip.stage.frames, "fps": source["fps"],
    }  # fmt: skip


def write(source: dict[str, Any], video_ids: list[str], folder: Path) -> None:
    """Write videos and tables into an empty folder.

    labels.parquet: one row a video (see `label`). states.parquet: one row a video, frame and object (see `states`).
    masks.h5: `masks` uint8 [frames of all videos, H, W], 0 background, 1–48 class, and per video `video_id`, `offset`
    (its first row), `frames`. world.json: the source.
    """
    labels, tables = [], [_no_states(source)]
    with MaskWriter(folder / "masks.h5", source["height"], source["width"]) as masks:
        for video_id in track(video_ids, "world", unit="video"):
            clip = simulate(source, video_id)
            picture = paint(source, clip)
            (folder / video_id).parent.mkdir(exist_ok=True)
            encode(picture.frames, folder / video_id, source["fps"], crf=CRF)
            masks.append(video_id, picture.masks)
            labels.append(label(source, clip))
            tables.append(states(source, clip, picture.visible))
    pd.DataFrame(labels, columns=list(LABELS)).astype(LABELS).to_parquet(folder / "labels.parquet", index=False)
    kept = [table for table in tables if len(table)] or tables
    pd.concat(kept, ignore_index=True).to_parquet(folder / "states.parquet", index=False)
    write_json(folder / "world.json", source)


def labels_as_csv(folder: Path) -> None:
    """labels.csv beside labels.parquet; placeholders as JSON."""
    table = pd.read_parquet(folder / "labels.parquet")
    table["placeholders"] = [json.dumps(list(words)) for words in table["placeholders"]]
    table.to_csv(folder / "labels.csv", index=False)


def _no_states(source: dict[str, Any]) -> pd.DataFrame:
    """The table of states without a row: the same columns and types."""
    clip = simulate(source, f"{ORDER[0]}/v_{ORDER[0]}_g01_c01.mp4")
    return states(source, clip, np.zeros((clip.stage.frames, len(clip.stage.bodies)), np.float32)).iloc[:0]
