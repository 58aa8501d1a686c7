"""What the data sets of all tasks share."""

from __future__ import annotations

import logging

import pytest

from framecast.tasks._samples import Samples, tell


class Frames(Samples):
    """Two videos; a batch has one value that belongs to no sample."""

    shared = ("empty",)

    def __init__(self):
        self.video_ids, self.units, self.places = ["a#b", "c"], ["first", "second"], [(0, 4), (1, 0), (1, 7)]

    def __getitems__(self, indices):
        places = [self.places[index] for index in indices]
        return {"frame": [frame for _, frame in places], "empty": [0, 0], **self.named(places)}


def test_samples_are_named_after_their_video():
    assert Frames().sample_ids() == ["a#b#4", "c#0", "c#7"] and len(Frames()) == 3
    assert Frames().named([(1, 7), (0, 4)]) == {"sample_id": ["c#7", "a#b#4"], "unit": ["second", "first"]}


def test_one_sample_is_a_row_of_its_batch():
    assert Frames()[2] == {"frame": 7, "empty": [0, 0], "sample_id": "c#7", "unit": "second"}


def test_samples_are_found_again_by_name():
    assert Frames().find(["c#7", "a#b#4"]) == [2, 0]
    assert Frames().find_all(["c#7", "a#b#4", "c#0"]) == [2, 0, 1]
    with pytest.raises(ValueError, match=r"hold 2 samples, the split 3; predict again with the present data"):
        Frames().find_all(["c#7", "a#b#4"])
    with pytest.raises(
        ValueError, match=r"hold 2 samples, the split 3, and 1 of the predicted .* \(d#1\); predict again"
    ):
        Frames().find(["c#0", "d#1"])


def test_what_is_left_out_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        tell("test", 0, 9, "are never told of")
        tell("test", 6, 9, "are short", list("abcdef"))
        tell("test", 1, 9, "have no text")
    assert [record.getMessage() for record in caplog.records] == [
        "split test: 6 of 9 videos are short (a, b, c, d, e, …)", "split test: 1 of 9 videos have no text",
    ]  # fmt: skip
