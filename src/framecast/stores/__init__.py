"""Packed stores: what a task may read. A job hands a task one `Stores`; tasks open what they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Stores:
    """Paths of everything extracted from one data set. Each list holds one path a bucket."""

    samples: Path
    """Parquet table, one row a video: video_id, split, unit, bucket, frames, fps, label, group, text, template …"""
    frames: dict[str, list[Path]] = field(default_factory=dict)
    """Frame set → bucket folders."""
    embeddings: dict[str, list[Path]] = field(default_factory=dict)
    """Encoder → bucket files."""
    masks: list[Path] = field(default_factory=list)
    """Mask files (`stores.masks`), or folders with a `masks.h5`, one a bucket."""
    labels: list[Path] = field(default_factory=list)
    """Folders with a `states.parquet` (`stores.states`), one a bucket."""
    predictions: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Experiment → split → predictions that this run reads as its data."""
    networks: dict[str, str] = field(default_factory=dict)
    """Encoder → folder, or name on the hub, of its network, for tasks that decode."""
    prompts: dict[str, Path] = field(default_factory=dict)
    """Entry of the config's `prompts` → file (`stores.prompts`)."""

    def split(self, name: str) -> pd.DataFrame:
        """The samples of one split, in order of video id."""
        import pandas as pd

        table = pd.read_parquet(self.samples)
        part = table[table["split"] == name].sort_values("video_id", ignore_index=True)
        if part.empty:
            raise ValueError(
                f"{self.samples}: split {name!r} has no video; splits with videos: {sorted(set(table['split']))}"
            )
        return part
