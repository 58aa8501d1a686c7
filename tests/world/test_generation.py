"""The embedded world: ids, files, masks, texts, and how hard it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from torchmetrics.functional.classification import multiclass_jaccard_index

from framecast.core.files import file_digest
from framecast.data.annotations import world as labels_of_world
from framecast.video import codec
from framecast.world import baselines, generation, objects, texts
from framecast.world.actions import ACTIONS, ORDER
from framecast.world.clips import paint, simulate
from framecast.world.render import EYE, camera, render

SOURCE = {
    "kind": "world", "seed": 3, "videos": 26, "frames": [40, 44], "height": 32, "width": 48, "fps": 12,
    "objects": [1, 3],
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "all"
    generation.write_folder(SOURCE, folder)
    return folder


# --- ids -------------------------------------------------------------------------------------------------------------


def test_more_videos_keep_the_earlier_ids():
    few, many = generation.video_ids({**SOURCE, "videos": 40}), generation.video_ids({**SOURCE, "videos": 400})
    assert many[:40] == few and len(set(many)) == 400
    assert few[0] == "PushLeftRight/v_PushLeftRight_g01_c01.mp4"


def test_every_class_comes_early_and_groups_have_their_clips():
    ids = generation.video_ids({**SOURCE, "videos": 104})
    assert {video_id.split("/")[0] for video_id in ids[: len(ORDER)]} == set(ACTIONS)
    groups = pd.Series([video_id.rpartition("_c")[0] for video_id in ids]).value_counts()
    assert set(groups) == {generation.CLIPS}


def test_ids_need_neither_pandas_nor_codecs():
    code = (
        "import sys; from framecast.world.generation import video_ids; video_ids({'videos': 5});"
        "print([m for m in ('pandas', 'torch', 'av', 'h5py') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("video_id", ["Fly/v_Fly_g01_c01.mp4", "Cover/v_PutOnto_g01_c01.mp4", "x.mp4"])
def test_an_unknown_id_is_named(video_id):
    with pytest.raises(ValueError, match=re.escape(video_id) + r".*PushLeftRight"):
        simulate(SOURCE, video_id)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_video_depends_on_its_id_alone(world, tmp_path):
    ids = generation.video_ids(SOURCE)[3:12:4]
    generation.generate({**SOURCE, "videos": 500}, ids, tmp_path / "some")
    for video_id in ids:
        assert file_digest(tmp_path / "some" / video_id) == file_digest(world / video_id)
    with h5py.File(world / "masks.h5") as every, h5py.File(tmp_path / "some" / "masks.h5") as some:
        row = every["video_id"].asstr()[:].tolist().index(ids[2])
        start, count = every["offset"][row], every["frames"][row]
        assert (every["masks"][start : start + count] == some["masks"][some["offset"][2] :]).all()


def test_the_same_twice_gives_the_same_bytes(world, tmp_path):
    ids = generation.video_ids(SOURCE)[:4]
    for name in ("one", "two"):
        generation.generate(SOURCE, ids, tmp_path / name)
    assert file_digest(tmp_path / "one") == file_digest(tmp_path / "two")


def test_another_seed_gives_another_world():
    video_id = generation.video_ids(SOURCE)[0]
    one, two = simulate(SOURCE, video_id), simulate({**SOURCE, "seed": 4}, video_id)
    assert one.caption != two.caption


def test_decoded_frames_are_those_of_the_labels(world):
    labels = pd.read_parquet(world / "labels.parquet")
    states = pd.read_parquet(world / "states.parquet")
    with h5py.File(world / "masks.h5") as file:
        assert file["video_id"].asstr()[:].tolist() == labels["video_id"].tolist() == generation.video_ids(SOURCE)
        assert file["frames"][:].tolist() == labels["frames"].tolist()
        assert file["masks"].shape == (labels["frames"].sum(), 32, 48) and file["masks"].dtype == np.uint8
        assert file["offset"][:].tolist() == [0, *np.cumsum(labels["frames"])[:-1]]
    for row in labels.itertuples():
        decoded = codec.probe(world / row.video_id, count=True)
        assert (decoded.frames, decoded.width, decoded.height, decoded.fps) == (row.frames, 48, 32, 12)
        assert 40 <= row.frames <= 44
        assert states.loc[states["video_id"] == row.video_id, "frame"].max() == row.frames - 1
    assert json.loads((world / "world.json").read_text()) == SOURCE


def test_encoding_adds_little_noise(world):
    clip = simulate(SOURCE, generation.video_ids(SOURCE)[0])
    picture = paint(SOURCE, clip)
    decoded = np.stack([frame.views["full"] for frame in codec.frames(world / clip.video_id)])
    assert baselines.psnr(picture.frames, decoded) > 32  # 4:2:0 on 32×48 pixels costs most of it


def test_no_video_gives_empty_tables_of_the_same_form(world, tmp_path):
    generation.generate(SOURCE, [], tmp_path / "none")
    for name in ("labels.parquet", "states.parquet"):
        empty, full = pd.read_parquet(tmp_path / "none" / name), pd.read_parquet(world / name)
        assert len(empty) == 0 and list(empty.columns) == list(full.columns)
        assert (empty.dtypes == full.dtypes).all()
    with h5py.File(tmp_path / "none" / "masks.h5") as file:
        assert file["masks"].shape == (0, 32, 48) and len(file["video_id"]) == 0


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no video of the embedded world"):
        generation.generate(SOURCE, [generation.video_ids(SOURCE)[0], "Fly/v_Fly_g01_c01.mp4"], tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


# --- masks and states ------------------------------------------------------------------------------------------------


def _nearest(bodies, frame, height, width):
    """The class seen through each pixel's centre, ray by ray and solid by solid, in double precision."""
    rays = camera(height, width).rays[:, :, 0].astype(float).T
    best, seen = np.full(len(rays), np.inf), np.zeros(len(rays), int)
    for body in bodies:
        turned = body.attitude[frame]
        origin, local = (EYE - body.positions[frame]) @ turned, rays @ turned
        for k, ray in enumerate(local):
            depth = _enter(body, origin, ray)
            if depth < best[k]:
                best[k], seen[k] = depth, body.class_id
    return seen.reshape(height, width)


def _enter(body, origin, ray):
    def ball(axes):
        a, b = ray[axes] @ ray[axes], origin[axes] @ ray[axes]
        root = b * b - a * (origin[axes] @ origin[axes] - body.radius**2)
        return ((-b - root**0.5) / a, (-b + root**0.5) / a) if root > 0 else (np.inf, -np.inf)

    def slab(axis, half):
        ends = sorted(((-half - origin[axis]) / (ray[axis] or 1e-12), (half - origin[axis]) / (ray[axis] or 1e-12)))
        return ends[0], ends[1]

    spans = {
        "ball": lambda: [ball([0, 1, 2])],
        "cube": lambda: [slab(axis, body.radius) for axis in range(3)],
        "cylinder": lambda: [ball([0, 1]), slab(2, body.half_height)],
    }[body.shape]()
    near, far = max(span[0] for span in spans), min(span[1] for span in spans)
    return near if near < far else np.inf


@pytest.mark.parametrize("label", ["Cover", "Collide", "DropOnto", "MoveAway", "Roll"])
def test_masks_are_exactly_the_nearest_object(label):
    clip = simulate(SOURCE, f"{label}/v_{label}_g01_c01.mp4")
    masks = paint(SOURCE, clip).masks
    for frame in (0, 21, 39):
        assert (masks[frame] == _nearest(clip.stage.bodies, frame, 32, 48)).all()


def test_where_the_mask_shows_an_object_so_does_the_picture():
    """Painted without its objects, a clip changes exactly where objects, their edges and their shadows are."""
    clip = simulate(SOURCE, "Roll/v_Roll_g02_c01.mp4")
    full = paint(SOURCE, clip)
    props = [body for body in clip.stage.bodies if not body.class_id]
    assert not props
    empty = render(clip.scenery, [_hidden(clip.stage.bodies[0])], [], 32, 48)
    changed = np.abs(full.frames.astype(int) - empty.frames[: len(full.frames)]).max(-1) > 12
    assert changed[full.masks > 0].mean() > 0.97


def _hidden(body):
    from dataclasses import replace

    return replace(body, positions=body.positions + np.array([0, 0, 60.0]), still=False)


def test_states_say_what_is_seen(world):
    states = pd.read_parquet(world / "states.parquet")
    assert states["visible"].between(0, 1).all() and (states["visible"] > 0.99).mean() > 0.5
    with h5py.File(world / "masks.h5") as file:
        offsets = dict(zip(file["video_id"].asstr()[:], file["offset"][:], strict=True))
        masks = file["masks"][:]
    for row in states[states["visible"] == 1].sample(60, random_state=0).itertuples():
        mask = masks[offsets[row.video_id] + row.frame] == row.class_id
        if mask[[0, -1]].any() or mask[:, [0, -1]].any():
            continue  # cut off by the picture's edge
        y, x = np.nonzero(mask)
        assert abs(x.mean() - row.column) < 1.2 and abs(y.mean() - row.row) < 1.2
    gone = states[states["visible"] == 0]
    for row in gone.itertuples():
        assert not (masks[offsets[row.video_id] + row.frame] == row.class_id).any()


def test_a_covered_thing_is_gone_at_the_end():
    for clip in ("g01_c01", "g01_c02", "g02_c01"):
        masks = paint(SOURCE, done := simulate(SOURCE, f"Cover/v_Cover_{clip}.mp4")).masks
        hidden = next(body for body in done.objects if body.role == "target")
        assert (masks[0] == hidden.class_id).any() and not (masks[-1] == hidden.class_id).any()


# --- words and progress ----------------------------------------------------------------------------------------------


def test_48_classes_each_with_its_own_name():
    solids = [objects.Solid(c) for c in range(1, 49)]
    assert len({(s.shape, s.material, s.colour) for s in solids}) == 48
    one = objects.Solid(1 + 2 * 16 + 1 * 8 + 3)
    assert one.words == "a green metal cylinder"


def test_texts_are_filled_templates(world, clips):
    known = pd.read_csv(clips.parent / "ssv2_templates.tsv", sep="\t").set_index("id")["raw_template"]
    labels = pd.read_parquet(world / "labels.parquet")
    for row in labels.itertuples():
        assert row.template == known[row.template_id]
        assert "[" not in row.text and row.text == row.text.lower()
        assert all(words in row.text for words in row.placeholders)
        assert len(row.placeholders) == row.template.lower().count("[something]")
        assert (
            row.caption[0].isupper() and row.caption.endswith(" floor.") and row.placeholders[0] in row.caption.lower()
        )


def test_captions_tell_videos_apart_and_name_every_object():
    source = {**SOURCE, "videos": 208}
    made = [simulate(source, video_id) for video_id in generation.video_ids(source)]
    assert len({clip.caption for clip in made}) >= 0.98 * len(made)
    for clip in made:
        for body in clip.objects:
            assert objects.Solid(body.class_id).words in clip.caption.lower()


def test_filling_counts_slots():
    assert texts.fill("Putting [something] onto [Something]", ["A cube", "a ball"]) == "putting a cube onto a ball"
    with pytest.raises(ValueError, match="has 1 slots, got 2"):
        texts.fill("Moving [something] up", ["a", "b"])


def test_objects_of_one_video_are_distinct_and_as_many_as_asked():
    source = {**SOURCE, "videos": 104, "objects": [2, 4]}
    counts = []
    for video_id in generation.video_ids(source):
        classes = [body.class_id for body in simulate(source, video_id).objects]
        assert len(set(classes)) == len(classes) and 2 <= len(classes) <= 4
        counts.append(len(classes))
    assert np.mean(np.array(counts) >= 3) > 0.4


def test_clips_of_one_group_share_the_scenery():
    one, two = (simulate(SOURCE, f"Roll/v_Roll_g01_c0{clip}.mp4") for clip in (1, 2))
    other = simulate(SOURCE, "Roll/v_Roll_g02_c01.mp4")
    assert (one.scenery.light == two.scenery.light).all() and one.scenery.stock == two.scenery.stock
    assert one.caption != two.caption and other.scenery.stock != one.scenery.stock and one.group == "Roll/g01"


def test_progress_rises_from_0_to_1(world):
    states = pd.read_parquet(world / "states.parquet")
    for _, rows in states[states["object"] == 0].groupby("video_id"):
        progress = rows.sort_values("frame")["progress"].to_numpy()
        assert (np.diff(progress) >= 0).all() and progress[0] == 0 and progress[-1] == 1


def test_where_a_thing_is_pushed_or_pulled_its_place_is_the_progress():
    """The control for progress estimates: one frame shows the answer."""
    for label, side in (("PushLeftRight", 1), ("PullRightLeft", -1)):
        for group in range(1, 4):
            clip = simulate(SOURCE, f"{label}/v_{label}_g{group:02d}_c01.mp4")
            x = clip.objects[0].positions[:, 0]
            assert np.allclose(clip.stage.progress, (side * x / 2.15 + 1) / 2, atol=1e-9)


def test_labels_reach_the_annotations(world):
    index = pd.DataFrame({"video_id": generation.video_ids(SOURCE)[5:1:-1]})
    table = labels_of_world.read(SOURCE, index, [world])
    assert table["video_id"].tolist() == index["video_id"].tolist()
    assert {"label", "group", "text", "template", "placeholders", "task", "caption"} <= set(table.columns)
    with pytest.raises(ValueError, match=r"1 indexed videos have no row.*'new.mp4'"):
        labels_of_world.read(SOURCE, pd.DataFrame({"video_id": ["new.mp4"]}), [world])


# --- how hard it is --------------------------------------------------------------------------------------------------


def test_jaccard_is_torchmetrics(world):
    import torch

    draw = np.random.default_rng(0)
    truth, guess = draw.integers(0, 30, (2, 4, 9, 9)).astype(np.uint8)
    ours = baselines.jaccard(baselines.confusion(truth, guess))
    theirs = multiclass_jaccard_index(torch.tensor(guess).long(), torch.tensor(truth).long(), num_classes=49)
    assert ours == pytest.approx(float(theirs), abs=1e-6)
    assert baselines.jaccard(baselines.confusion(truth, truth)) == 1


def test_psnr_by_hand():
    assert baselines.psnr(np.zeros((2, 2)), np.full((2, 2), 255)) == 0
    assert baselines.psnr(np.zeros((2, 2)), np.zeros((2, 2))) == np.inf
    assert baselines.psnr(np.zeros((2, 2)), np.array([[10, 0], [0, 0]])) == pytest.approx(34.151, abs=1e-3)


@pytest.mark.parametrize("seed", [101, 202])
def test_copying_a_mask_is_as_hard_as_published(seed):
    source = {**SOURCE, "seed": seed, "videos": 208}
    total = np.zeros((49, 49), np.int64)
    for video_id in generation.video_ids(source):
        clip = simulate(source, video_id)
        rows = [baselines.GIVEN, baselines.WANTED]
        masks = render(clip.scenery, [body.at(rows) for body in clip.stage.bodies], clip.stage.props, 32, 48).masks
        total += baselines.confusion(masks[1], masks[0])
    assert 0.20 <= baselines.jaccard(total) <= 0.35


def test_baselines_run_on_a_folder(world):
    figures, by_class = baselines.measure(world)
    assert set(by_class.index) == set(ACTIONS) and all(np.isfinite(value) for value in figures.values())
    assert figures["blend_mean"] > figures["copy_mean"]
