"""Folders of pictures as a data source: the world written as one, listed, indexed, extracted, its masks imported; and
what is wrong with a folder, said in the rejected table."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from framecast import cli
from framecast.config.base import Config, Data
from framecast.core.own_files import MARKER
from framecast.core.validation import ConfigError, parse
from framecast.data.extraction import ChangedVideo, extract
from framecast.data.index import index_bucket, merge
from framecast.data.mask_import import import_masks
from framecast.data.splits import assign
from framecast.stores.frames import FrameStore
from framecast.stores.masks import Masks
from framecast.video import frame_folders
from framecast.video.listing import list_frame_folders
from framecast.workflow import catalogue, inputs
from framecast.world import frame_layout, generation
from framecast.world.clips import paint, simulate

WORLD = {
    "kind": "world", "seed": 3, "videos": 28, "frames": [40, 44], "height": 32, "width": 48, "fps": 12,
    "objects": [1, 3],
}  # fmt: skip
SHARES = {"train": 0.4, "val": 0.2, "unlabeled": 0.2, "hidden": 0.2}
FOLDERS = {"train": "train", "select": "val", "unlabeled": "unlabeled", "hidden": "hidden"}
RULES = {"frames": frame_layout.FRAMES, "labelled": ["train", "val"], "classes": 49, "fps": 12.0}
NATIVE = {"fps": None, "resize": "squash", "views": {"full": [32, 48], "small": [16, 16]}}


def data(path: Path, **changes: Any) -> dict[str, Any]:
    """A data entry of the plan."""
    entry = {
        "source": {"kind": "frame_folders", "path": str(path), **RULES}, "buckets": 2, "select": "select",
        "splits": {"kind": "subfolders", "folders": FOLDERS}, "evaluate": ["select"], "unit": "video",
    }  # fmt: skip
    return {**parse(Data, entry).model_dump(mode="json"), **changes}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`set`, the world in the published layout, and truth.npy beside it."""
    folder = tmp_path_factory.mktemp("made")
    generation.write_frame_folders(WORLD, SHARES, folder / "set", folder / "truth.npy")
    return folder


# --- export ----------------------------------------------------------------------------------------------------------


def test_the_layout_is_the_published_one(made: Path) -> None:
    videos = sorted((made / "set").glob("*/*"), key=lambda path: path.name)
    assert [path.name for path in videos] == [f"video_{number:05d}" for number in range(28)]
    assert list(dict.fromkeys(path.parent.name for path in videos)) == ["train", "val", "unlabeled", "hidden"]
    for path in videos:
        count = 11 if path.parent.name == "hidden" else 22
        masks = {"mask.npy"} if path.parent.name in ("train", "val") else set()
        assert {file.name for file in path.iterdir()} == {f"image_{index}.png" for index in range(count)} | masks


def test_pictures_and_masks_are_the_rendered_ones(made: Path) -> None:
    dealt = frame_layout.deal(generation.video_ids(WORLD), SHARES)
    picture = paint(WORLD, simulate(WORLD, dealt["train"][0]), 22)
    folder = made / "set/train/video_00000"
    found = [np.asarray(Image.open(folder / f"image_{index}.png")) for index in range(22)]
    assert np.array_equal(found, picture.frames)
    masks = np.load(folder / "mask.npy")
    assert masks.dtype == np.uint8 and np.array_equal(masks, picture.masks) and 0 < masks.max() <= 48
    truth = np.load(made / "truth.npy")
    assert truth.dtype == np.uint8 and truth.shape == (len(dealt["hidden"]), 32, 48)
    assert np.array_equal(truth[-1], paint(WORLD, simulate(WORLD, dealt["hidden"][-1])).masks[21])


def test_recording_groups_stay_together_and_classes_are_spread() -> None:
    ids = generation.video_ids({"videos": 520})
    dealt = frame_layout.deal(ids, SHARES)
    assert sorted(one for members in dealt.values() for one in members) == sorted(ids)
    assert {name: len(members) / 520 for name, members in dealt.items()} == pytest.approx(SHARES, abs=0.01)
    groups = {name: {one.rpartition("_c")[0] for one in members} for name, members in dealt.items()}
    assert sum(map(len, groups.values())) == len(set().union(*groups.values()))
    assert all(len({one.partition("/")[0] for one in members}) == 21 for members in dealt.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shares", "train=.5", "test=.5"], "shares name 'test'; the layout has the folders train, val, unlabeled"),
        (["--shares", "train=.5"], "the shares add up to 0.5, not 1"),
        (["--shares", "train=1.5", "val=-.5"], "the share of train is 1.5; a share is 0 to 1"),
        (["--shares", "train=.999", "val=.001"], "leave no video for val: make more videos"),
        (["--truth", "out/truth.npy"], "lies in out: give a file outside"),
        (["--size", "31x48"], "size is 31x48: height and width must be even and at least 32"),
        (["--layout", "plain", "--truth", "t.npy"], "--truth belongs to --layout frame_folders"),
        (["--layout", "plain", "--shares", "train=1"], "--shares belongs to --layout frame_folders and --layout ssv2"),
        (["--layout", "ssv2", "--shares", "val=1"], "shares name 'val'; the layout has the folders train, validation"),
    ],
)
def test_the_command_says_what_is_wrong(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["world", "--layout", "frame_folders", "--out", "out", *words]) == 1
    assert said in capsys.readouterr().err and not Path("out").exists()


@pytest.mark.parametrize("words", [["--size", "32"], ["--shares", "train"]])
def test_the_command_refuses_what_it_cannot_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["world", "--out", "out", *words])
    assert "is no size: give height and width" in (text := capsys.readouterr().err) or "train=.35" in text


def test_the_command_writes_pictures_truth_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", str(tmp_path / "out"), "--size", "32x34", "--shares", "train=.6", "hidden=.4", "--seed", "2"]
    (tmp_path / "small.yaml").write_text(
        "run: {}\ndata: {world: {source: {kind: world, videos: 6}, evaluate: [test]}}\n"
    )
    options = ["--config", str(tmp_path / "small.yaml"), "--truth", str(tmp_path / "t.npy")]
    assert cli.main(["world", "--layout", "frame_folders", *words, *options]) == 0
    assert "4 train, 0 val, 0 unlabeled, 2 hidden videos in" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MARKER, "hidden", "train"]
    assert np.load(tmp_path / "t.npy").shape == (2, 32, 34)


# --- listing ---------------------------------------------------------------------------------------------------------


def test_every_video_folder_is_listed(made: Path, tmp_path: Path) -> None:
    entries = list_frame_folders(data(made / "set")["source"])
    folders = sorted((made / "set").glob("*/*"))
    assert [name for name, _, _ in entries] == [f"{path.parent.name}/{path.name}" for path in folders]
    assert [size for _, size, _ in entries] == [sum(f.stat().st_size for f in path.iterdir()) for path in folders]
    digests = catalogue.update(data(made / "set"), tmp_path / "listing")
    assert catalogue.load(data(made / "set"), tmp_path / "listing") == digests and list(digests) == [0, 1]


def test_only_folders_of_pictures_are_videos(tmp_path: Path) -> None:
    for name in ("image_0.png", "train/readme.txt", "train/a/picture.png", "train/b/mask.npy", ".cache/c/image_0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    said = r"data source '.*': no folder below it holds image_\*.png; check `path`: a video .* train/video_00000"
    with pytest.raises(FileNotFoundError, match=said):
        catalogue.update(data(tmp_path), tmp_path / "listing")
    (tmp_path / "train/b/image_x.png").touch()
    assert [name for name, _, _ in list_frame_folders({"path": str(tmp_path)})] == ["train/b"]
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        catalogue.update(data(tmp_path / "nowhere"), tmp_path / "listing")


@pytest.mark.parametrize("name", ["image_3.png", "mask.npy", "image_22.png"])
def test_any_change_in_a_folder_changes_its_number_alone(own: Path, name: str) -> None:
    before = {entry[0]: entry for entry in list_frame_folders({"path": str(own)})}
    with (own / "train/video_00001" / name).open("ab") as file:
        file.write(b"x")
    os.utime(own / "train/video_00001" / name, ns=(1, 1))
    after = {entry[0]: entry for entry in list_frame_folders({"path": str(own)})}
    assert [name for name in after if after[name] != before[name]] == ["train/video_00001"]
    assert before["train/video_00001"][2] != after["train/video_00001"][2] < 2**60


def test_a_large_set_is_listed_in_seconds(tmp_path: Path) -> None:
    """1,000 folders stand for the 20,000 of the published set: at most 20 s for those, measured are 4."""
    for number in range(1000):
        folder = tmp_path / f"unlabeled/video_{number:05d}"
        folder.mkdir(parents=True)
        for index in range(22):
            os.close(os.open(folder / f"image_{index}.png", os.O_CREAT))
    start = time.process_time()
    assert len(list_frame_folders({"path": str(tmp_path)})) == 1000
    assert time.process_time() - start < 1


def test_light_mode_takes_some_of_every_folder(made: Path, tmp_path: Path) -> None:
    entry = data(made / "set", limit=8)
    digests = catalogue.update(entry, tmp_path)
    names = [
        name for shard in digests for name in catalogue.videos(catalogue.shard_file(tmp_path, shard, digests[shard]))
    ]
    assert sorted(name.partition("/")[0] for name in names) == sorted(list(SHARES) * 2)


# --- index -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """Two labelled videos and a hidden one that a test may change."""
    for name in ("train/video_00000", "train/video_00001", "hidden/video_00023"):
        shutil.copytree(made / "set" / name, tmp_path / "own" / name)
    return tmp_path / "own"


def rows(root: Path, out: Path, rules: dict[str, Any] | None = None) -> pd.DataFrame:
    ids = [name for name, _, _ in list_frame_folders({"path": str(root)})]
    index_bucket(root, ids, out / "bucket_0.parquet", 60, rules or RULES)
    return pd.read_parquet(out / "bucket_0.parquet").set_index("video_id")


def test_a_row_says_what_the_folder_holds(own: Path, tmp_path: Path) -> None:
    table = rows(own, tmp_path)
    assert table["status"].tolist() == ["ok"] * 3 and table["reason"].tolist() == [""] * 3
    row = table.loc["train/video_00000"]
    assert (row["container"], row["codec"], row["pix_fmt"]) == ("frame folder", "png", "rgb24")
    assert (row["width"], row["height"], row["frames"], row["fps"], row["vfr"]) == (48, 32, 22, 12.0, False)
    assert row["duration"] == pytest.approx(22 / 12) and row["path"] == str(own / "train/video_00000")
    files = list((own / "train/video_00000").iterdir())
    assert row["bytes"] == sum(file.stat().st_size for file in files)
    assert row["mtime_ns"] == max(file.stat().st_mtime_ns for file in files)
    assert table.loc["hidden/video_00023", "frames"] == 11


def test_equal_pictures_have_one_digest_with_and_without_masks(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "train/video_00000", own / "unlabeled/video_7")
    (own / "unlabeled/video_7/mask.npy").unlink()
    digests = rows(own, tmp_path)["digest"]
    assert digests["unlabeled/video_7"] == digests["train/video_00000"] != digests["train/video_00001"]


def test_a_fractional_rate_is_exact(own: Path, tmp_path: Path) -> None:
    row = rows(own, tmp_path, {**RULES, "fps": 30000 / 1001}).iloc[0]
    assert (row["fps_num"], row["fps_den"]) == (30000, 1001)


Change = Callable[[Path], object]


def save(**arrays: Any) -> Change:
    """Replace the masks."""
    return lambda folder: np.save(folder / "mask.npy", arrays["masks"], allow_pickle=True)


def changed_mask(value: int) -> Change:
    def change(folder: Path) -> None:
        masks = np.load(folder / "mask.npy")
        masks[5, 3, 4] = value
        np.save(folder / "mask.npy", masks)

    return change


def cut(name: str) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:200])


def picture(name: str, height: int = 32, width: int = 48, **options: Any) -> Change:
    return lambda folder: Image.new("RGB", (width, height)).save(folder / name, **options)


def animated(folder: Path) -> None:
    pictures = [Image.new("RGB", (48, 32), colour) for colour in ("red", "blue")]
    pictures[0].save(folder / "image_2.png", save_all=True, append_images=pictures[1:])


def archive(folder: Path) -> None:
    with (folder / "mask.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))


def remove(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink() for name in names]


BAD: list[tuple[str, Change, str]] = [
    ("train", remove("image_7.png"),
     "21 frames instead of 22 (the source's `frames` for 'train'); image_7.png is missing"),
    ("train", remove("image_21.png"),
     "21 frames instead of 22 (the source's `frames` for 'train'); image_21.png is missing"),
    ("hidden", remove("image_10.png"),
     "10 frames instead of 11 (the source's `frames` for 'hidden'); image_10.png is missing"),
    ("train", remove(*(f"image_{index}.png" for index in range(8))),
     "14 frames instead of 22 (the source's `frames` for 'train'); image_0.png, image_1.png, image_2.png, image_3.png, "
     "image_4.png and 3 more are missing"),
    ("hidden", picture("image_11.png"),
     "12 frames instead of 11 (the source's `frames` for 'hidden'); image_11.png is too many"),
    ("train", lambda folder: (folder / "image_7.png").rename(folder / "image_22.png"),
     "image_7.png is missing; image_22.png is too many"),
    ("train", picture("image_07.png"), "image_07.png: pictures are named image_0.png, image_1.png …"),
    ("train", picture("image_last.png"), "image_last.png: pictures are named"),
    ("train", cut("image_4.png"), "image_4.png cannot be read: "),
    ("train", lambda folder: (folder / "image_4.png").write_bytes(b""), "image_4.png cannot be read: "),
    ("train", lambda folder: (folder / "image_4.png").write_text("a letter"), "image_4.png cannot be read: "),
    ("train", lambda folder: [(folder / "image_4.png").unlink(), (folder / "image_4.png").symlink_to("nowhere")],
     "image_4.png cannot be read: No such file or directory"),
    ("train", picture("image_4.png", format="JPEG"),
     "image_4.png holds 1 frames of codec mjpeg; it must be one PNG picture"),
    ("train", animated, "image_2.png holds 2 frames of codec apng; it must be one PNG picture"),
    ("train", picture("image_9.png", 16, 48),
     "image_9.png is 16x48 pixels, image_0.png is 32x48: frames of a video have one size"),
    ("train", remove("mask.npy"), "mask.npy is missing: videos of this folder are labelled"),
    ("train", cut("mask.npy"), "mask.npy cannot be read: "),
    ("train", lambda folder: (folder / "mask.npy").write_bytes(b""), "mask.npy cannot be read: "),
    ("train", lambda folder: (folder / "mask.npy").write_text("a letter"),
     "mask.npy cannot be read: This file contains pickled (object) data"),
    ("train", lambda folder: (folder / "mask.npy").write_bytes(b"PK\x03\x04 no archive"), "mask.npy cannot be read: "),
    ("train", save(masks=np.array([{}, None])), "mask.npy cannot be read: "),
    ("train", archive,
     "mask.npy is an archive of arrays; it must be one array (numpy.save)"),
    ("train", save(masks=np.zeros((22, 32, 48))), "mask.npy is float64; it must be uint8"),
    ("train", save(masks=np.zeros((22, 64, 96), np.uint8)), "mask.npy is [22, 64, 96]; it must be [22, 32, 48]"),
    ("train", save(masks=np.zeros((11, 32, 48), np.uint8)), "mask.npy is [11, 32, 48]; it must be [22, 32, 48]"),
    ("train", save(masks=np.zeros((0, 32, 48), np.uint8)), "mask.npy "),
    ("train", changed_mask(49), "mask.npy holds class 49 in frame 5; classes are 0 to 48 (the source's `classes`)"),
    ("train", changed_mask(255), "mask.npy holds class 255 in frame 5; classes are 0 to 48"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "change", "said"), BAD, ids=[f"{n}: {said[:40]}" for n, (_, _, said) in enumerate(BAD)]
)
def test_a_bad_folder_is_rejected_alone(own: Path, tmp_path: Path, kind: str, change: Change, said: str) -> None:
    bad = f"{kind}/{'video_00001' if kind == 'train' else 'video_00023'}"
    change(own / bad)
    table = rows(own, tmp_path)
    assert table["status"].drop(bad).tolist() == ["ok", "ok"]
    assert table.loc[bad, "status"] == "rejected"
    assert said in table.loc[bad, "reason"]
    merge([tmp_path / "bucket_0.parquet"], tmp_path / "index.parquet", tmp_path / "rejected.csv")
    assert pd.read_csv(tmp_path / "rejected.csv")["path"].tolist() == [str(own / bad)]


def test_the_largest_class_and_masks_that_nobody_wants(own: Path, tmp_path: Path) -> None:
    changed_mask(48)(own / "train/video_00000")
    np.save(own / "hidden/video_00023/mask.npy", np.zeros(3))
    assert rows(own, tmp_path)["status"].tolist() == ["ok"] * 3


def test_a_folder_that_the_config_does_not_name(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "hidden", own / "extra")
    reason = rows(own, tmp_path).loc["extra/video_00023", "reason"]
    assert reason == "folder 'extra' is not among those of the source's `frames`: train, val, unlabeled, hidden"


def test_folders_that_vanish_or_may_not_be_read(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_bucket(own, ["train/gone", "train/video_00000"], tmp_path / "b.parquet", 60, RULES)
    table = pd.read_parquet(tmp_path / "b.parquet")
    assert table["status"].tolist() == ["rejected", "ok"]
    assert table["reason"].tolist() == ["vanished between listing and indexing", ""]
    from framecast.data import index_worker

    def refuse(folder: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(folder / "image_2.png"))

    monkeypatch.setattr(frame_folders, "measure", refuse)
    found = index_worker.read_folder(str(own / "train/video_00000"), "train/video_00000", RULES)
    assert found == {"reason": "image_2.png cannot be read: Permission denied"}


# --- extraction ------------------------------------------------------------------------------------------------------


def test_views_of_the_native_size_are_the_pictures(own: Path, tmp_path: Path) -> None:
    rows(own, tmp_path)
    extract(tmp_path / "bucket_0.parquet", NATIVE, tmp_path / "store")
    store = FrameStore(tmp_path / "store")
    for video_id, count in {"train/video_00000": 22, "train/video_00001": 22, "hidden/video_00023": 11}.items():
        right = [np.asarray(Image.open(own / video_id / f"image_{index}.png")) for index in range(count)]
        np.testing.assert_array_equal(store.read("full", video_id, 0, store.count(video_id)), right)
        assert store.read("small", video_id, 0, count).shape == (count, 16, 16, 3)
        np.testing.assert_allclose(store.seconds(video_id), np.arange(count) / 12)
        assert store.source(video_id).tolist() == list(range(count))


def test_frames_are_dropped_for_a_lower_rate(own: Path, tmp_path: Path) -> None:
    rows(own, tmp_path)
    extract(tmp_path / "bucket_0.parquet", {**NATIVE, "fps": 4.0, "resize": "pad"}, tmp_path / "store")
    store = FrameStore(tmp_path / "store")
    assert store.source("hidden/video_00023").tolist() == [0, 3, 6, 9]
    np.testing.assert_allclose(store.seconds("hidden/video_00023"), [0, 0.25, 0.5, 0.75])


def test_a_changed_folder_stops_the_extraction(own: Path, tmp_path: Path) -> None:
    rows(own, tmp_path)
    os.utime(own / "train/video_00000/image_0.png", (0, 0))
    extract(tmp_path / "bucket_0.parquet", NATIVE, tmp_path / "store")
    for change, said in ((picture("image_3.png"), "changed"), (shutil.rmtree, "vanished")):
        change(own / "train/video_00001")
        with pytest.raises(ChangedVideo, match=rf"'train/video_00001' {said} since it was indexed: .*; run again"):
            extract(tmp_path / "bucket_0.parquet", NATIVE, tmp_path / "other")
    assert not (tmp_path / "other").exists()


# --- masks -----------------------------------------------------------------------------------------------------------


def test_masks_are_those_of_the_folders(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "train/video_00000", own / "train/video_9")
    remove("image_3.png")(own / "train/video_9")
    rows(own, tmp_path)
    for name in ("one.h5", "two.h5"):
        import_masks(tmp_path / "bucket_0.parquet", RULES, tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    masks = Masks([tmp_path / "one.h5"])
    assert list(masks.places) == ["train/video_00000", "train/video_00001"]
    for video_id in masks.places:
        right = np.load(own / video_id / "mask.npy")
        np.testing.assert_array_equal(masks.read(video_id, 0, masks.count(video_id)), right)


def test_a_bucket_without_masks(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(own / "train")
    rows(own, tmp_path)
    import_masks(tmp_path / "bucket_0.parquet", RULES, tmp_path / "masks.h5")
    index_bucket(own, [], tmp_path / "empty.parquet", 60, RULES)
    import_masks(tmp_path / "empty.parquet", RULES, tmp_path / "none.h5")
    assert Masks([tmp_path / "masks.h5", tmp_path / "none.h5"]).places == {}


def test_masks_that_changed_since_they_were_indexed(own: Path, tmp_path: Path) -> None:
    rows(own, tmp_path)
    changed_mask(200)(own / "train/video_00001")
    said = r"'train/video_00001' changed since it was indexed: .*: mask.npy holds class 200 in frame 5; .*; run again"
    with pytest.raises(ValueError, match=said):
        import_masks(tmp_path / "bucket_0.parquet", RULES, tmp_path / "masks.h5")
    assert not (tmp_path / "masks.h5").exists()


def test_masks_of_several_sizes_are_named(own: Path, tmp_path: Path) -> None:
    for index in range(22):
        picture(f"image_{index}.png", 16, 20)(own / "train/video_00001")
    save(masks=np.zeros((22, 16, 20), np.uint8))(own / "train/video_00001")
    assert rows(own, tmp_path)["status"].tolist() == ["ok"] * 3
    said = "several sizes, pixels: 'train/video_00000' 32x48, 'train/video_00001' 16x20; .* have one size"
    with pytest.raises(ValueError, match=said):
        import_masks(tmp_path / "bucket_0.parquet", RULES, tmp_path / "masks.h5")


# --- all the way -----------------------------------------------------------------------------------------------------


def test_the_set_goes_all_the_way(made: Path, tmp_path: Path) -> None:
    """Listing → index → merge → splits → frames and masks, shard by shard."""
    entry = data(made / "set")
    parts, masks, stores = [], [], []
    for shard, listed in catalogue.update(entry, tmp_path / "listing").items():
        parts.append(tmp_path / f"index/bucket_{shard}.parquet")
        masks.append(tmp_path / f"masks/bucket_{shard}.h5")
        stores.append(tmp_path / f"frames/bucket_{shard}")
        names = catalogue.videos(catalogue.shard_file(tmp_path / "listing", shard, listed))
        index_bucket(made / "set", names, parts[-1], 60, RULES)
        import_masks(parts[-1], RULES, masks[-1])
        extract(parts[-1], NATIVE, stores[-1])
    merge(parts, tmp_path / "index.parquet", tmp_path / "rejected.csv")
    assert pd.read_csv(tmp_path / "rejected.csv").empty
    assign(tmp_path / "index.parquet", [], entry, tmp_path / "samples.parquet", tmp_path / "splits.json")
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    assert samples["split"].value_counts().to_dict() == {"train": 11, "select": 6, "unlabeled": 6, "hidden": 5}
    assert samples["unit"].tolist() == samples["video_id"].tolist() and samples["label"].isna().all()
    labelled = samples.loc[samples["split"].isin(["train", "select"]), "video_id"]
    assert sorted(Masks(masks).places) == sorted(labelled)
    assert sorted(one for store in stores for one in FrameStore(store).video_ids) == sorted(samples["video_id"])


# --- config and graph ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("path", " ", "own.source.path: the path is empty"),
        ("frames", {}, "own.source.frames"),
        ("frames", {"train": 0}, "own.source.frames.train"),
        ("frames", {"train": 22, "val/a": 22}, "own.source: frames has 'val/a': needs the name of one folder"),
        (
            "labelled",
            ["test"],
            "own.source: labelled has 'test': needs one of the folders of `frames`: ['train', 'val',",
        ),
        ("classes", 300, "own.source.classes"),
        ("fps", 0, "own.source.fps"),
        ("frame", {}, "own.source.frame: unknown key; did you mean 'frames'?"),
    ],
)
def test_what_is_wrong_in_the_config_is_said(key: str, value: Any, words: str) -> None:
    entry = data(Path("videos"))
    entry["source"][key] = value
    with pytest.raises(ConfigError) as caught:
        parse(Config, {"run": {}, "data": {"own": entry}})
    assert words in str(caught.value)


def test_splits_name_folders_of_the_source() -> None:
    entry = data(Path("videos"))
    entry["splits"]["folders"] = {"train": "train", "select": "vall"}
    with pytest.raises(
        ConfigError, match=r"splits.folders.select is 'vall'; the folders of source.frames are \['train'"
    ):
        parse(Config, {"run": {}, "data": {"own": entry}})


def test_the_graph_knows_where_masks_lie(tmp_path: Path) -> None:
    plain = {**data(tmp_path), "source": {"kind": "plain", "path": "."}}
    unlabelled = data(tmp_path)
    unlabelled["source"]["labelled"] = []
    entries = {"own": data(tmp_path), "none": unlabelled, "plain": plain, "world": {"source": WORLD}}
    flow = inputs.Flow({"data": entries}, {name: {0: "a", 3: "b"} for name in entries}, Path("results"))
    assert flow.mask_files("own") == ["results/data/own/masks/bucket_0.h5", "results/data/own/masks/bucket_3.h5"]
    assert flow.mask_files("world") == ["results/data/world/videos/bucket_0", "results/data/world/videos/bucket_3"]
    assert flow.mask_files("plain") == flow.mask_files("none") == []
    rules = [flow.folder_rules(SimpleNamespace(data=name)) for name in ("own", "world")]
    assert rules[0].startswith('{"classes":49,"fps":12.0,"frames":{"hidden":11') and rules[1] == "{}"


def test_the_reader_takes_the_worlds_folders(tmp_path: Path) -> None:
    generation.generate(WORLD, generation.video_ids(WORLD)[:2], tmp_path / "bucket_0")
    assert list(Masks([tmp_path / "bucket_0"]).places) == generation.video_ids(WORLD)[:2]
