"""What the runs of an experiment read beside the samples table: the answer of a task's `needs`, as one type.

The plan keeps it as JSON; rules, the run's identity and checks read it through this type alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class SourceExperiment:
    """Another experiment whose predictions are read as data, for the same videos."""

    experiment: str
    """The experiment that predicts."""
    seed: int | None = None
    """Its seed; null takes the seed of the run that reads."""
    train: tuple[str, ...] = ()
    """Splits whose predictions are learned from."""
    select: bool = False
    """Whether predictions of the data's `select` split are read in training."""
    evaluate: bool = False
    """Whether predictions of a split are read where that split is predicted, scored or shown."""


@dataclass(frozen=True)
class Needs:
    """Names of the config; a task fills in what it reads and leaves the rest empty."""

    frames: tuple[tuple[str, str], ...] = ()
    """(frame set, view) pairs."""
    embeddings: tuple[str, ...] = ()
    """Encoders whose cached embeddings, or latents, are read."""
    prompts: tuple[str, ...] = ()
    """Entries of `prompts` whose hidden states are read."""
    masks: bool = False
    """Whether the masks that come with the data are read."""
    labels: bool = False
    """Whether the states of the frames that come with the data are read."""
    sources: tuple[SourceExperiment, ...] = ()
    """Experiments whose predictions are read."""
    networks: tuple[str, ...] = ()
    """Encoders among `embeddings` whose networks decode what is predicted."""
    pretrained: tuple[str, ...] = ()
    """Experiments whose exported networks are loaded; the plan fills this in from the keys of task and model."""

    def to_json(self) -> dict[str, Any]:
        """As the plan keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Needs:
        """The value that `to_json` was called on; lists become tuples again.

        Raises:
            TypeError: a key that is no field.
        """
        plain: dict[str, Any] = {
            key: value if isinstance(value, bool) else tuple(value) for key, value in found.items()
        }
        plain["frames"] = tuple((frame_set, view) for frame_set, view in found["frames"])
        plain["sources"] = tuple(
            SourceExperiment(**{**source, "train": tuple(source["train"])}) for source in found["sources"]
        )
        return cls(**plain)

    @classmethod
    def of(cls, experiment: Mapping[str, Any]) -> Needs:
        """The needs of an experiment of the plan."""
        return cls.from_json(experiment["needs"])
