"""What the data sets of all tasks share: names of samples, samples found again by name, what a split leaves out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class Samples:
    """Samples of one split. A subclass sets the attributes and gives `__getitems__`, a batch of samples by number.

    Attributes: video_ids and units, [V]. places, one a sample: a tuple that begins with the number of its video.
    """

    video_ids: list[str]
    units: list[str]
    places: list[Any]
    shared: tuple[str, ...] = ()
    """Keys of a batch that are the same for all its samples."""

    def take_videos(self, videos: pd.DataFrame) -> None:
        """Set `video_ids` and `units` from a table of the split's videos."""
        self.video_ids = videos["video_id"].tolist()
        self.units = videos["unit"].astype(str).tolist()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        batch = self.__getitems__([index])
        return {key: value if key in self.shared else value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Tensors [B, …] and lists of B, among them `sample_id` and `unit`."""
        raise NotImplementedError

    def name(self, place: Any) -> str:
        """`<video id>#<second number of the place>`, which is a frame's."""
        return f"{self.video_ids[place[0]]}#{place[1]}"

    def named(self, places: Sequence[Any]) -> dict[str, list[str]]:
        """sample_id and unit of samples."""
        return {
            "sample_id": [self.name(place) for place in places],
            "unit": [self.units[place[0]] for place in places],
        }

    def sample_ids(self) -> list[str]:
        """Names of all samples, in order."""
        return [self.name(place) for place in self.places]

    def find(self, sample_ids: Sequence[str]) -> list[int]:
        """Numbers of samples by name.

        Raises:
            ValueError: a name that the split does not have: the predictions were made of other data.
        """
        known = {name: index for index, name in enumerate(self.sample_ids())}
        missing = [name for name in sample_ids if name not in known]
        if missing:
            raise ValueError(
                f"the predictions hold {len(sample_ids)} samples, the split {len(known)}, and {len(missing)} of the "
                f"predicted are not in the split ({some(missing)}); predict again with the present data"
            )
        return [known[name] for name in sample_ids]

    def find_all(self, sample_ids: Sequence[str]) -> list[int]:
        """As `find`, where all samples of the split are to be there.

        Raises:
            ValueError: one is not, or as of `find`.
        """
        found = self.find(sample_ids)
        if len(found) != len(self):
            raise ValueError(
                f"the predictions hold {len(found)} samples, the split {len(self)}; predict again with the present data"
            )
        return found


def tell(split: str, number: int, count: int, what: str, names: Sequence[str] = ()) -> None:
    """Log how many of a split's videos are left out or changed; nothing where there are none."""
    if number:
        log.warning("split %s: %d of %d videos %s%s", split, number, count, what, f" ({some(names)})" if names else "")


def some(names: Sequence[str]) -> str:
    """The first names, for a message."""
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
