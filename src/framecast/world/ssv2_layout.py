"""The world in the form of Something-Something V2: numbered videos, and json files that say what is in them.

    videos/1.mp4 …      labels.json, train.json, validation.json, test.json as published

The videos are H.264, because the encoder here writes no VP9: the source takes them with `suffix: .mp4`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.core.files import write_json
from framecast.core.progress import track
from framecast.data.annotations.templates import TEMPLATES, bare
from framecast.video.codec import encode
from framecast.world.clips import paint, simulate
from framecast.world.files import CRF, label

SETS = ("train", "validation", "test")


def write(source: dict[str, Any], dealt: dict[str, list[str]], folder: Path) -> None:
    """Write the dealt videos into an empty folder, numbered from 1 over train, validation and test.

    source: a world source. dealt: train, validation, test to video ids of the world.
    """
    (folder / "videos").mkdir()
    write_json(folder / "labels.json", {bare(text): str(number) for number, text in enumerate(TEMPLATES)})
    videos = [(name, video_id) for name in SETS for video_id in dealt[name]]
    entries: dict[str, list[dict[str, Any]]] = {name: [] for name in SETS}
    for number, (name, video_id) in enumerate(track(videos, "world", len(videos), "video"), 1):
        clip = simulate(source, video_id)
        encode(paint(source, clip).frames, folder / "videos" / f"{number}.mp4", source["fps"], crf=CRF)
        row = label(source, clip)
        told = {"label": row["text"], "template": row["template"], "placeholders": row["placeholders"]}
        entries[name].append({"id": str(number), **(told if name != "test" else {})})
    for name in SETS:
        write_json(folder / f"{name}.json", entries[name])
