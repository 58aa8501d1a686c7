"""The tables of a results folder as plain text and as Markdown: the numbers are those of the comparison files."""

from __future__ import annotations

from pathlib import Path

import pytest

from framecast import cli
from framecast.analysis import console
from framecast.analysis.words import by_how_much, number
from framecast.core.files import read_json, write_json
from tests import made_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up results, with the provenance that the workflow adds and a search for the learning rate."""
    folder = tmp_path_factory.mktemp("results")
    made = made_results.make(folder, videos=8, windows=3, gaps=(1,))
    for path in made.comparisons:
        record = {
            "git": {"commit": "3f6c1a9be2d04c5b8a77", "changed": True}, "versions": {"python": "3.11.9"},
            "machine": {"processor": "Some CPU", "cores": 2, "memory_gib": 23.4, "system": "Linux 6"}, "time": "noon",
        }  # fmt: skip
        write_json(path, read_json(path) | {"provenance": record})
    trials = [{"learning_rate": 0.001, "score": 0.25}, {"learning_rate": 0.1, "score": None}]
    write_json(folder / "runs/tmdn_gap1/tuned.json", {"learning_rate": 0.001, "trials": trials})
    return folder


def against_gru(results: Path) -> dict:
    return read_json(results / "comparisons/tmdn_against_gru_1.json")


def row(text: str, block: str, name: str) -> str:
    """The line of an experiment in the table below a heading."""
    return next(
        line for line in text.split(block, 1)[1].splitlines() if name in line.split("  ") or f"`{name}`" in line
    )


def test_plain_text_holds_the_numbers(results: Path) -> None:
    assert "page: " not in console.comparisons(results), "a track's target makes no page"
    for name in ("summary.xlsx", "report.html"):
        (results / name).touch()
    text, comparison = console.comparisons(results), against_gru(results)
    test = next(one for one in comparison["tests"] if (one["treatment"], one["metric"]) == ("tmdn_gap1", "mse"))
    level = next(one for one in comparison["levels"] if (one["experiment"], one["metric"]) == ("tmdn_gap1", "mse"))
    line = row(text, "TMDN against GRU-1024 (1 ahead) · split test · mse (lower is better, n = 8 units)", "tmdn_gap1")
    assert line.split()[:4] == ["tmdn_gap1", *(f"{value:.4g}" for value in (level["value"], test["skill"],
                                                                            test["p_holm"]))]  # fmt: skip
    assert line.endswith(f"  {test['verdict']}") and ("not significant" in line) == (not test["significant"])
    assert row(text, "TMDN against GRU-1024", "gru_1024_gap1").endswith("baseline")
    assert text.count(" · split test · ") == sum(
        len(read_json(path)["metrics"]) for path in results.glob("comparisons/*.json")
    )
    assert text.endswith(f"page: {results}/report.html") and max(map(len, text.splitlines())) < 200


def test_markdown_holds_tables_origin_rates_and_probe(results: Path) -> None:
    text = console.markdown(results)
    assert text.startswith("Commit `3f6c1a9be2d0` with uncommitted changes; Some CPU, 2 cores, 23.4 GiB, Linux 6;")
    assert "| `tmdn_gap1` | 0.001 | 0.001: 0.25; 0.1: diverged |" in text
    assert "| actor | velocity from two | 0.93, 0.91 | 4.1, 3.9 | 17.2, 12 | 1296 |" in text
    assert "n = 8 units, 24 samples" in text
    test = next(one for one in against_gru(results)["tests"] if (one["treatment"], one["metric"]) ==
                ("tmdn_gap1", "mse"))  # fmt: skip
    line = row(text, "### TMDN against GRU-1024 (1 ahead)", "tmdn_gap1")
    interval = " [{:.4g}, {:.4g}] ".format(test["low"], test["high"])
    assert f"| {test['difference']:.4g}{interval}|" in line and f"| {test['wilcoxon_p_holm']:.4g} |" in line


def test_a_corpus_metric_has_its_interval_and_no_test(results: Path) -> None:
    comparison = read_json(results / "comparisons/masks.json")
    level = next(one for one in comparison["levels"] if (one["experiment"], one["metric"]) == ("simvp", "iou_corpus"))
    value = "{:.4g} [{:.4g}, {:.4g}]".format(level["value"], level["low"], level["high"])
    line = row(console.comparisons(results), "SimVP’s masks · split test · iou_corpus (higher is better", "simvp")
    assert value in line and line.endswith("  interval only")
    line = row(console.markdown(results), "### SimVP’s masks: Corpus IoU", "simvp")
    assert value in line and line.endswith("| interval only |")
    assert "iou_corpus." not in console.comparisons(results) + console.markdown(results)


def test_every_markdown_row_has_as_many_cells_as_its_head(results: Path) -> None:
    for block in console.markdown(results).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1, block


def test_what_was_not_tested_says_why(results: Path, tmp_path: Path) -> None:
    comparison = against_gru(results)
    refused = [one for one in comparison["tests"] if one["treatment"] == "tmdn_gap1" and one["metric"] == "mse"]
    comparison["tests"] = [one for one in comparison["tests"] if one not in refused]
    comparison["refusals"] = [{**refused[0], "reason": "too few units"}]
    comparison["provenance"]["git"] = None
    write_json(tmp_path / "comparisons/c.json", comparison)
    assert row(console.comparisons(tmp_path), "mse", "tmdn_gap1").endswith("refused: too few units")
    text = console.markdown(tmp_path)
    assert text.startswith("Commit `unknown`; ") and "| refused |" in row(text, "###", "tmdn_gap1")


def test_a_caution_is_a_mark_behind_the_name_and_a_sentence_below_the_tables(results: Path, tmp_path: Path) -> None:
    assert "†" not in console.comparisons(results) + console.markdown(results)
    told = {name: read_json(results / f"comparisons/{name}.json") for name in ("masks", "tmdn_against_gru_1")}
    for name, record in told.items():
        write_json(tmp_path / f"comparisons/{name}.json", record)
    for seed in (0, 1):
        facts = {"caution": "knows the end.", "provenance": {"spec": {"experiment": "gru_1024_gap1"}}}
        write_json(tmp_path / f"runs/gru_1024_gap1/seed_{seed}/scores/test.json", facts)
    text, page = console.comparisons(tmp_path), console.markdown(tmp_path)
    masks, _, tmdn = text.partition("TMDN against GRU-1024 (1 ahead) · split test · mse (")
    assert "†" not in masks and text.count("gru_1024_gap1 †: knows the end.") == 1
    assert "against gru_1024_gap1 †" in tmdn and tmdn.splitlines()[2].split("  ")[1] == "gru_1024_gap1 †"
    assert page.count("`gru_1024_gap1` †: knows the end.") == 1 and "| `gru_1024_gap1` † |" in page
    assert "`tmdn_gap1` †" not in page


def test_equal_predictions_are_said_in_words_and_as_a_caution(tmp_path: Path) -> None:
    made_results.make(tmp_path, videos=4, windows=2, seeds=1, gaps=(1,), twin=True)
    text = console.comparisons(tmp_path)
    line = row(text, "SimVP’s masks · split test · iou (", "twin †")
    assert line.endswith("equal to copy_mask") and "copy_mask †" not in text
    assert text.count("twin †: its predictions on test equal those of copy_mask, bit for bit.") == 1
    record = next(one for one in console._records(tmp_path, set()) if one["comparison"] == "masks")
    lines = console._markdown_block(record, "test", "iou_corpus").splitlines()
    line = next(one for one in lines if one.startswith("| `twin` † | "))
    assert line.endswith("] | 0 |  | 0 |  |  | equal to `copy_mask` |")


def test_a_folder_without_results_says_what_to_do(tmp_path: Path) -> None:
    for show in (console.first_screen, console.comparisons, console.markdown):
        with pytest.raises(FileNotFoundError, match="holds no comparison: run the workflow first"):
            show(tmp_path)


def test_the_first_screen_has_two_short_lines_a_track(results: Path) -> None:
    text = console.first_screen(results)
    blocks = text.partition("\n\n")[0].splitlines()
    test = against_gru(results)["tests"][0]
    ends = f"[{number(test['low'], 3)}, {number(test['high'], 3)}]"
    assert blocks[0].startswith("Next embedding: ") and blocks[0].endswith(" tmdn_gap1 against gru_1024_gap1")
    assert test["verdict"] in blocks[0] and f"mse on test: {by_how_much(test)} " in blocks[1]
    assert f" {ends}; n = 8; no simple rule compared" in blocks[1]
    assert blocks[2] == "Future masks: ▲ better, simvp against copy_mask" and "simple rule: copy_mask 0." in blocks[3]
    assert len(blocks) == 4 and max(map(len, text.splitlines()[:4])) <= 100
    assert text.endswith(f"all tables: framecast show --all {results}")


def test_long_names_are_wrapped_and_cautions_stand_below(results: Path, tmp_path: Path) -> None:
    record = read_json(results / "comparisons/masks.json")
    record["track"]["title"] = (
        "A line of research with a title that is much longer than what people write as a rule" * 2
    )
    write_json(tmp_path / "comparisons/masks.json", record)
    facts = {"caution": "knows the end.", "provenance": {"spec": {"experiment": "simvp"}}}
    write_json(tmp_path / "runs/simvp/seed_0/scores/test.json", facts)
    text = console.first_screen(tmp_path)
    assert max(map(len, text.splitlines()[:-1])) <= 100 and text.count("simvp †: knows the end.") == 1


def test_results_from_before_tracks_have_a_line_a_comparison(results: Path, tmp_path: Path) -> None:
    for path in results.glob("comparisons/*.json"):
        record = read_json(path)
        del record["track"]
        write_json(tmp_path / "comparisons" / path.name, record)
    text = console.first_screen(tmp_path)
    assert text.startswith("Better than copying? (1 ahead): ") and "\nSimVP’s masks: " in text


def test_the_command_prints_all(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(results)]) == 0
    assert capsys.readouterr().out == console.first_screen(results) + "\n"
    assert cli.main(["show", str(results), "--all"]) == 0
    assert capsys.readouterr().out == console.comparisons(results) + "\n"
    assert cli.main(["show", str(results), "--markdown"]) == 0
    assert capsys.readouterr().out == console.markdown(results) + "\n"
