"""The default config is several files: short, merged in a fixed order, no key twice; errors name file and line."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from framecast import cli
from framecast.config import loading
from framecast.config.base import Config
from framecast.core.validation import ConfigError, parse
from framecast.workflow import inputs, plan

ROOT = Path(__file__).resolve().parents[2]
TRACKS = {"embedding", "masks", "progress", "frames"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the default's files, to be changed, which the library takes for the default."""
    for path in loading.files():
        target = tmp_path / "config" / path.relative_to(loading.FOLDER)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    monkeypatch.setattr(loading, "FOLDER", tmp_path / "config")
    return tmp_path / "config"


def edit(path: Path, old: str, new: str) -> int:
    """Replace one passage; returns its line, from 1."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def failure(*overlays: Path) -> str:
    """What `framecast config check` would say."""
    with pytest.raises(ConfigError) as caught:
        config = loading.load(overlays)
        with loading.placed(config, overlays):
            plan.resolve(parse(Config, config))
    return str(caught.value)


# --- the default ------------------------------------------------------------------------------------------------------


def test_the_files_are_short_and_each_experiment_stands_in_its_tracks() -> None:
    assert len((loading.FOLDER / "config.yaml").read_text().splitlines()) <= 120
    tasks = loading.default()["tasks"]
    for path in loading.files()[1:]:
        assert len(path.read_text().splitlines()) <= 150, path
        values = loading.read(path).values
        assert values.get("tracks", {}).keys() == ({path.stem} & TRACKS)
        assert {tasks[one["task"]]["track"] for one in values.get("experiments", {}).values()} <= {path.stem}
        assert {task["track"] for task in values.get("tasks", {}).values()} <= {path.stem}


def test_an_experiments_task_and_model_stand_in_its_file() -> None:
    for path in loading.files()[1:]:
        values = loading.read(path).values
        for name, one in values.get("experiments", {}).items():
            assert one["task"] in values["tasks"] and one["model"] in values["models"], name


def test_tracks_keep_their_order() -> None:
    assert list(loading.default()["tracks"]) == ["embedding", "masks", "progress", "frames"]


def test_nothing_of_the_default_is_shared_between_its_entries() -> None:
    """YAML's anchors give one object to several keys; a change to one of them must not reach the others."""
    seen: dict[int, str] = {}

    def visit(value: Any, place: str) -> None:
        if isinstance(value, dict | list):
            assert id(value) not in seen, f"{place} is {seen[id(value)]}"
            seen[id(value)] = place
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                visit(item, f"{place}.{key}")

    default = loading.default()
    visit(default, "")
    assert default["tasks"]["future_tuned"]["source"] == default["tasks"]["future"]["source"]


def test_a_new_tracks_file_is_found(folder: Path) -> None:
    (folder / "tracks" / "another.yaml").write_text("tracks: {another: {title: Another}}\n")
    assert list(loading.default()["tracks"]) == ["embedding", "masks", "progress", "frames", "another"]


# --- merging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overlay",
    [
        {},
        {"run": {"comparisons": ["gap_1"], "tracks": ["embedding"]}},
        {"budgets": {"predictor": {"sweep": {"learning_rate": [0.1], "steps": 2}}, "masks": {"ema": None}}},
        {"experiments": {"simvp_tuned": {"init": None}, "new": {"task": "t", "init": {"experiment": "simvp"}}}},
        {"experiments": {"simvp": {"init": {}, "inference": {}}}, "light": {}, "tasks": 5},
    ],
)
def test_overlays_merge_as_snakemake_merges_them(overlay: dict[str, Any]) -> None:
    from snakemake.utils import update_config

    default = loading.default()
    expected = copy.deepcopy(default)
    update_config(expected, copy.deepcopy(overlay))
    assert loading.merge(default, overlay) == expected
    assert default == loading.default(), "merging leaves the default as it is"


def test_the_defaults_own_files_may_be_named_as_overlays() -> None:
    assert loading.load([ROOT / "config" / "config.yaml"]) == loading.default()


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_a_typo_in_a_tracks_file_is_named_with_its_line(folder: Path) -> None:
    line = edit(folder / "tracks" / "masks.yaml", "model: simvp, budget: masks}", "model: simvp, budgt: masks}")
    missing, typo = failure().splitlines()
    assert typo.startswith(
        f"config/tracks/masks.yaml:{line}: experiments.simvp.budgt: unknown key; did you mean 'budget'?"
    )
    assert missing == f"config/tracks/masks.yaml:{line}: experiments.simvp.budget: this key is required"


def test_a_wrong_reference_is_named_with_its_line(folder: Path) -> None:
    line = edit(folder / "tracks" / "progress.yaml", "baseline: pac_net,", "baseline: pac_nt,")
    assert failure().startswith(f"config/tracks/progress.yaml:{line}: comparisons.progress_input.baseline: there is no "
                                "experiment 'pac_nt'; did you mean 'pac_net'?")  # fmt: skip


def test_a_modules_own_key_is_named_with_its_line(folder: Path) -> None:
    line = edit(folder / "tracks" / "embedding.yaml", "history: 30, gap: 5", "histry: 30, gap: 5")
    assert (
        failure()
        .splitlines()[0]
        .startswith(f"config/tracks/embedding.yaml:{line}: tasks.next_5.histry: unknown key; did you mean 'history'?")
    )


def test_a_broken_file_is_named(folder: Path) -> None:
    (folder / "tracks" / "masks.yaml").write_text("tasks: {a: [1\n")
    assert failure().startswith("config/tracks/masks.yaml is no YAML: ")


def test_a_key_twice_in_one_file_is_named_with_both_lines(folder: Path) -> None:
    text = (folder / "tracks" / "masks.yaml").read_text().replace("comparisons:\n", "experiments: {}\ncomparisons:\n")
    (folder / "tracks" / "masks.yaml").write_text(text)
    lines = text.splitlines()
    first, second = lines.index("experiments:") + 1, lines.index("experiments: {}") + 1
    assert failure() == (f"config/tracks/masks.yaml:{second}: experiments: this key stands in line {first} already; "
                         "keep one of them")  # fmt: skip


@pytest.mark.parametrize(
    ("table", "name", "entry"),
    [
        ("tracks", "masks", {"title": "Masks again"}),
        ("experiments", "simvp", {"seeds": [0, 1]}),
        ("comparisons", "masks", {"title": "Masks again"}),
    ],
)
def test_a_name_in_two_files_is_an_error_with_both(folder: Path, table: str, name: str, entry: dict[str, Any]) -> None:
    (folder / "tracks" / "own.yaml").write_text(f"# mine\n{yaml.safe_dump({table: {name: entry}})}")
    lines = (folder / "tracks" / "masks.yaml").read_text().splitlines()
    there = next(
        number
        for number, line in enumerate(lines, 1)
        if line.startswith(f"  {name}:") and number > lines.index(f"{table}:")
    )
    said, remedy = failure().splitlines()
    assert said == f"config/tracks/own.yaml:3: {table}.{name}: stands in config/tracks/masks.yaml:{there} as well"
    assert "keep one of them" in remedy and "overlay" in remedy


def test_sizes_stand_apart_from_the_rest_but_no_key_of_them_twice(folder: Path) -> None:
    edit(folder / "tracks" / "masks.yaml", "  masks: {batch: 4,", "  masks: {steps: 9, batch: 4,")
    assert "config/tracks/masks.yaml" in failure() and "budgets.masks.steps: stands in config/config.yaml:" in failure()


def test_the_old_single_file_in_place_of_the_new_one_is_refused_shortly(folder: Path) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(loading.default(), sort_keys=False))
    said = failure().splitlines()
    assert len(said) == loading.SHOWN + 2 and "more" in said[-2] and "keep one of them" in said[-1]


def test_an_overlay_that_names_something_gone_is_told_the_nearest_name(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("run:\n  comparisons: [gap_5]\nexperiments:\n  lstm_5: {modle: lstm}\ncomparisons:\n"
                       "  gap_5: {treatments: [gru_5, lstm5]}\n")  # fmt: skip
    assert failure(overlay).startswith(f"{overlay}:4: experiments.lstm_5.modle: unknown key; did you mean 'model'?")
    overlay.write_text(overlay.read_text().replace("modle", "model"))
    assert failure(overlay).startswith(f"{overlay}:6: comparisons.gap_5.treatments")
    assert "there is no experiment 'lstm5'; did you mean 'lstm_5'?" in failure(overlay)


def test_an_overlays_line_counts_where_the_default_has_the_key_too(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("\nbudgets: {masks: {steps: -1}}\n")
    assert failure(overlay).startswith(f"{overlay}:2: budgets.masks.steps: ")


def test_a_key_that_no_file_has_gets_no_line(tmp_path: Path) -> None:
    """It came with `snakemake --config`."""
    config = loading.merge(loading.default(), {"budgets": {"masks": {"steps": -1, "stps": 1}}})
    with pytest.raises(ConfigError) as caught, loading.placed(config):
        parse(Config, config)
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        "budgets.masks.steps", "budgets.masks.stps",
    ]  # fmt: skip


def test_merge_keys_and_aliases_are_no_double_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {b: 1, c: [2]}\nd: {<<: *a, b: 3}\ne: *a\n")
    source = loading.read(path)
    assert source.values == {"a": {"b": 1, "c": [2]}, "d": {"b": 3, "c": [2]}, "e": {"b": 1, "c": [2]}}
    assert source.lines["d", "b"] == 2 and source.lines["d", "c"] == 1 and source.lines["e",] == 3


def test_the_workflow_ends_with_file_and_line_alone(folder: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("budgets:\n  masks: {steps: 1}\n  masks: {steps: 2}\n")
    config = inputs.on_default(yaml.safe_load(overlay.read_text()), main=True)
    with pytest.raises(SystemExit, match=r"cannot be run:\n.*mine\.yaml:3: budgets\.masks: .* line 2 already"):
        inputs.prepare(config, tmp_path, main=True, overlays=[overlay])
    overlay.write_text("budgets:\n  masks: {steps: -2}\n")
    config = inputs.on_default(yaml.safe_load(overlay.read_text()), main=True)
    with pytest.raises(SystemExit, match=r"cannot be run:\n.*mine\.yaml:2: budgets\.masks\.steps: "):
        inputs.prepare(config, tmp_path, main=True, overlays=[overlay])
    (folder / "tracks" / "masks.yaml").write_text("[]\n")
    with pytest.raises(SystemExit, match=r"cannot be run:\nconfig/tracks/masks\.yaml holds a list"):
        inputs.on_default({}, main=True)


def test_check_takes_overlays_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    for files in ([], ["config/config.yaml"], ["config/config.yaml", "config/study.yaml"], ["config/study.yaml"]):
        assert cli.main(["config", "check", *(str(ROOT / file) for file in files)]) == 0
    default, _, both, study = capsys.readouterr().out.splitlines()
    assert both == study != default
