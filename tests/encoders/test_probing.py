"""The linear probe: finds what is there, finds nothing where nothing is, and leaks nothing from the held-out videos."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from framecast.encoders.probing import QUANTITIES, Ridge, Track, probe, r2, targets
from framecast.stores.embeddings import EmbeddingWriter

WIDTH, FRAMES = 12, 30
SPLIT = {video: ("train" if video % 3 else "test") for video in range(24)}


def world(folder, embed, videos=range(24)):
    """A made-up world: one actor that moves evenly, one object at rest; `embed` gives the embeddings of its path."""
    generator = np.random.default_rng(3)
    paths = {f"v{video:02d}": _path(generator) for video in videos}
    rows = [
        {"video_id": name, "frame": frame, "object": number, "role": role, "column": column, "row": row}
        for name, path in paths.items()
        for frame, place in enumerate(path)
        for number, (role, (column, row)) in enumerate([("actor", place), ("bystander", (20.0, 10.0))])
        if number == 0 or int(name[1:]) % 2
    ]
    (folder / "labels").mkdir()
    pd.DataFrame(rows).to_parquet(folder / "labels" / "states.parquet")
    samples = {"video_id": list(paths), "split": [SPLIT[int(name[1:])] for name in paths]}
    pd.DataFrame(samples).to_parquet(folder / "samples.parquet")
    with EmbeddingWriter(folder / "e.h5", list(paths), [FRAMES] * len(paths), WIDTH, "float32") as writer:
        for path in paths.values():
            writer.append(embed(path).astype(np.float32))
        writer.finish("one", {"kind": "dino"}, {})
    probe([folder / "e.h5"], [folder / "labels"], folder / "samples.parquet", folder / "out.json")
    return json.loads((folder / "out.json").read_text())


def _path(generator):
    start, speed = generator.uniform(0, 400, 2), generator.normal(0, 1.5, 2)
    return start + speed * np.arange(FRAMES)[:, None]


def mixed(path):
    """Position, linearly mixed into all dimensions, with a constant one."""
    mixing = np.random.default_rng(0).normal(size=(2, WIDTH))
    mixing[:, 0] = 0
    return path @ mixing + 3


def test_finds_what_is_linear(tmp_path):
    found = world(tmp_path, mixed)["test"]
    for target in ("actor", "alone"):
        assert min(found[target]["position"]["r2"]) > 0.999
        assert min(found[target]["velocity_from_two"]["r2"]) > 0.99
        assert min(found[target]["velocity_from_lags_1_to_16"]["r2"]) > 0.99
    assert max(found["actor"]["velocity_from_one_control"]["r2"]) < 0.5
    assert found["actor"]["position"]["error"][0] < 2 < found["actor"]["position"]["error_of_the_mean"][0]


def test_lags_tell_more_than_two_noisy_neighbours(tmp_path):
    """Noise of about a step's size hides a step between neighbours, and hardly one over 16 frames."""
    noise = np.random.default_rng(1)
    found = world(tmp_path, lambda path: mixed(path) + noise.normal(scale=2, size=(len(path), WIDTH)))["test"]["actor"]
    two, lags = (min(found[f"velocity_from_{kind}"]["r2"]) for kind in ("two", "lags_1_to_16"))
    assert two < 0.7 < 0.9 < lags, (two, lags)
    assert found["velocity_from_lags_1_to_16"]["frames"] == found["velocity_from_two"]["frames"]


def test_inputs_of_lags_by_hand():
    """At frame 3 of 0, 1, 4, 9 …: 9, and the changes over 1 and 2 frames; over 4, 8 and 16 there is frame 0 alone."""
    squares = np.arange(5.0)[:, None] ** 2
    inputs, truths = QUANTITIES["velocity_from_lags_1_to_16"](Track(squares, np.repeat(squares, 2, 1)))
    assert inputs[2].tolist() == [9, 9 - 4, 9 - 1, 9, 9, 9] and truths[2].tolist() == [5, 5]
    assert inputs.shape == (4, 6) and inputs[3].tolist() == [16, 16 - 9, 16 - 4, 16, 16, 16]


def test_finds_nothing_in_noise(tmp_path):
    noise = np.random.default_rng(1)
    found = world(tmp_path, lambda path: noise.normal(size=(len(path), WIDTH)))["test"]
    assert max(found["actor"]["position"]["r2"]) < 0.1


def test_knowing_the_video_is_not_enough(tmp_path):
    """Embeddings that name the video fit the training videos perfectly and must score nothing on others."""
    names = np.random.default_rng(2)

    def name(path):
        return np.repeat(names.normal(size=(1, WIDTH)), len(path), axis=0)

    assert max(world(tmp_path, name)["test"]["actor"]["position"]["r2"]) < 0.2


def test_says_what_it_measured(tmp_path):
    found = world(tmp_path, mixed)
    assert found["videos"] == {"test": 8, "train": 16}
    assert found["test"]["actor"]["position"]["frames"] == 8 * FRAMES
    assert [found["test"][target]["position"]["videos"] for target in ("scene", "actor", "alone")] == [8, 8, 4]
    assert found["identity"] == "one" and "provenance" in found


def test_needs_states_and_two_splits(tmp_path):
    world(tmp_path, mixed)
    inputs = [tmp_path / "e.h5"], tmp_path / "samples.parquet", tmp_path / "no.json"
    with pytest.raises(ValueError, match="embedded world's states"):
        probe(inputs[0], [], inputs[1], inputs[2])
    table = pd.read_parquet(tmp_path / "samples.parquet")
    table[table["split"] == "train"].to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(ValueError, match=r"another split; there are \{'train': 16\}"):
        probe(inputs[0], [tmp_path / "labels"], inputs[1], inputs[2])
    assert not (tmp_path / "no.json").exists()


def test_scene_is_the_mean_of_all_objects():
    rows = [("v", 0, 0, "actor", 2.0, 4.0), ("v", 0, 1, "target", 6.0, 10.0), ("w", 0, 0, "actor", 1.0, 1.0)]
    found = targets(pd.DataFrame(rows, columns=["video_id", "frame", "object", "role", "column", "row"]))
    assert found["scene"]["v"].tolist() == [[4.0, 7.0]]
    assert found["actor"]["v"].tolist() == [[2.0, 4.0]]
    assert set(found["alone"]) == {"w"}


def test_other_frame_counts_are_refused(tmp_path):
    world(tmp_path, mixed)
    states = pd.read_parquet(tmp_path / "labels" / "states.parquet")
    states[states["frame"] % 2 == 0].to_parquet(tmp_path / "labels" / "states.parquet")
    with pytest.raises(ValueError, match=r"30 embeddings and 15 known positions.*fps: null"):
        probe([tmp_path / "e.h5"], [tmp_path / "labels"], tmp_path / "samples.parquet", tmp_path / "o.json")


def test_ridge_agrees_with_least_squares():
    generator = np.random.default_rng(0)
    inputs, truths = generator.normal(size=(50, 4)), generator.normal(size=(50, 2))
    design = np.column_stack([inputs, np.ones(50)])
    expected = design @ np.linalg.lstsq(design, truths, rcond=None)[0]
    np.testing.assert_allclose(Ridge(inputs, truths, 0.0).predict(inputs), expected, atol=1e-9)
    assert np.abs(Ridge(inputs, truths, 10.0).weights).max() < np.abs(Ridge(inputs, truths, 0.0).weights).max()
    assert np.array_equal(Ridge(inputs, truths, 10.0).refit(0.5).weights, Ridge(inputs, truths, 0.5).weights)


def test_r2_by_hand():
    truths = np.array([[0.0], [2.0]])
    assert r2(truths, truths, np.array([1.0])) == 1
    assert r2(np.ones((2, 1)), truths, np.array([1.0])) == 0
    assert r2(np.array([[1.0], [2.0]]), truths, np.array([1.0])) == 0.5
