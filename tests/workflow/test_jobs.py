"""Between a rule and the library: parameters decoded, inputs grouped, tables of a failed job kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framecast.analysis.answers import Track
from framecast.core import lifeline
from framecast.workflow import jobs


class Named(list):  # type: ignore[type-arg]
    """Snakemake's list of files: some have names."""

    def __init__(self, **names: Any) -> None:
        super().__init__(path for group in names.values() for path in ([group] if isinstance(group, str) else group))
        self.__dict__.update(names)

    def get(self, name: str, default: Any) -> Any:
        return self.__dict__.get(name, default)


@pytest.fixture(autouse=True)
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Output goes back to where it went: in real life a job's process ends with the job."""
    monkeypatch.setattr(lifeline, "follow", lambda: None)
    kept = os.dup(1), os.dup(2)
    yield
    for number, stream in zip((1, 2), kept, strict=True):
        os.dup2(stream, number)
        os.close(stream)


def rule(folder: Path, params: dict[str, Any] | None = None, output: list[str] | None = None) -> SimpleNamespace:
    """What Snakemake puts into a script."""
    return SimpleNamespace(rule="train", wildcards=["tmdn", 3], params=params or {}, log=[str(folder / "logs/r.log")],
                           output=output or [])  # fmt: skip


def test_objects_are_decoded_and_other_text_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMECAST_SETTINGS", '{"device": "cpu"}')
    given = {
        "spec": '{"a": [1, 2.5], "é": null}', "root": "folder with {braces} and 'quotes'", "timeout": 3.5,
        "code": "12ab",
    }  # fmt: skip
    with jobs.job(rule(tmp_path, given)) as (params, settings):
        pass
    assert params == {**given, "spec": {"a": [1, 2.5], "é": None}} and settings == {"device": "cpu"}


def test_output_goes_to_the_log_and_one_line_to_the_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with jobs.job(rule(tmp_path)):
        os.system("echo from a child")
    said = capfd.readouterr()
    assert (tmp_path / "logs/r.log").read_text() == "from a child\n"
    assert said.out == "" and said.err.startswith("framecast: train tmdn 3 (") and said.err.count("\n") == 1


def test_a_failure_is_one_line_with_its_reason_and_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="history"), jobs.job(rule(tmp_path)):
        raise ValueError("the history is too long\nmore")
    said = capfd.readouterr().err
    assert said.startswith("framecast: train tmdn 3 FAILED after ") and said.count("\n") == 1
    assert said.endswith(f"s: the history is too long; log: {tmp_path}/logs/r.log\n")


def test_tables_of_a_failed_job_are_kept_beside_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outputs = [str(tmp_path / name) for name in ("rejected.csv", "absent.csv", "index.parquet")]
    failing = rule(tmp_path, output=outputs)
    copy = tmp_path / "logs/r.rejected.csv"
    with pytest.raises(ValueError), jobs.job(failing):
        for name in ("rejected.csv", "index.parquet"):
            (tmp_path / name).write_text("path,reason\n")
        raise ValueError("no video")
    assert copy.read_text() == "path,reason\n" and str(copy) in capfd.readouterr().err
    assert sorted(path.name for path in copy.parent.iterdir()) == ["r.log", "r.rejected.csv"]
    with jobs.job(failing):
        pass
    assert not copy.exists(), "what an earlier failure left does not outlive it"


def test_inputs_of_a_run_are_grouped_by_store() -> None:
    data = "results/data/frames"  # a data set may be called like a store
    inputs = Named(stores=[
        f"{data}/samples.parquet", f"{data}/frames/small/bucket_0", f"{data}/frames/small/bucket_2",
        f"{data}/frames/embeddings/bucket_0", f"{data}/embeddings/tiny/bucket_0.h5",
        f"{data}/embeddings/frames/bucket_1.h5",
    ])  # fmt: skip
    stores = jobs.stores(inputs)
    assert stores.samples == Path(data, "samples.parquet")
    assert stores.frames == {
        "small": [Path(data, "frames/small/bucket_0"), Path(data, "frames/small/bucket_2")],
        "embeddings": [Path(data, "frames/embeddings/bucket_0")],
    }
    assert stores.embeddings == {
        "tiny": [Path(data, "embeddings/tiny/bucket_0.h5")],
        "frames": [Path(data, "embeddings/frames/bucket_1.h5")],
    }
    assert jobs.stores(Named(stores="x/samples.parquet", labels="v/bucket_0")).labels == [Path("v/bucket_0")]
    alone = jobs.stores(Named(stores="x/samples.parquet"))
    assert (alone.samples, alone.frames, alone.embeddings) == (Path("x/samples.parquet"), {}, {})


def test_optional_inputs() -> None:
    for none in ([], Named()):
        assert jobs.first(none) is None and jobs.folder_of(none) is None
    for some in ("run/model.safetensors", ["run/model.safetensors", "run/run.json"]):
        assert jobs.first(some) == Path("run/model.safetensors") and jobs.folder_of(some) == Path("run")


@pytest.mark.parametrize("sheets", [[], ["results/data/own/contact_sheets/small.png"]])
def test_inputs_of_the_report(sheets: list[str]) -> None:
    of = {name: f"results/data/own/{name}" for name in ("index.parquet", "rejected.csv", "splits.json")}
    names = {
        "comparisons": ["c.json"], "scores": ["r/seed_0/scores/test.csv"], "facts": "r/seed_0/scores/test.json",
        "runs": ["r/seed_0/run.json"], "probes": [],
        "index": [of["index.parquet"]], "rejected": [of["rejected.csv"]], "splits": [of["splits.json"]],
    }  # fmt: skip
    config = {"data": {"own": {"unit": "group"}}, "note": "é"}
    tracks = {"one": {"title": "One", "experiments": ["r"], "comparisons": ["c"]}}
    given = {"config": {"config": config}, "titles": {"r": "R"}, "tracks": tracks}
    drawn = {"galleries": ["results/galleries/c/test.png"], "sheets": sheets} if sheets else {}
    made = jobs.report_inputs(Named(**names, **drawn), given)
    assert made.tracks == {"one": Track("One", ["r"], ["c"])}
    assert made.runs == [Path("r/seed_0")] and made.units == {"own": "group"} and made.titles == {"r": "R"}
    assert made.facts == [Path("r/seed_0/scores/test.json")]
    assert made.data["own"].rejected == Path(of["rejected.csv"])
    shown = [("Split test", "c"), ("Frames of own: small", "")] if sheets else []
    assert [(gallery.caption, gallery.comparison) for gallery in made.galleries] == shown
    assert json.loads(made.config) == config and "é" in made.config
