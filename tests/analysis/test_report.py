"""The page: says what won and by how much, needs nothing from outside, escapes everything, bears absent parts."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from framecast.analysis import summary as summary_module
from framecast.analysis.answers import Track
from framecast.analysis.report import elements, page
from framecast.analysis.summary import (
    DataFiles,
    Gallery,
    ReportInputs,
    Run,
    Summary,
)
from framecast.analysis.verdicts import Verdict
from framecast.analysis.words import by_how_much, number, p_value, seeds_text
from framecast.scores import COLUMNS
from framecast.scores import read as read_scores
from tests import made_results


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return made_results.make(tmp_path_factory.mktemp("made"), videos=12, windows=3, seeds=2, gaps=(1,))


@pytest.fixture(scope="module")
def text(inputs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(inputs, path)
    return path.read_text(encoding="utf-8")


def plain(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", markup))


def rewritten(inputs: ReportInputs, folder, change) -> ReportInputs:
    """The inputs with their first comparison alone, changed."""
    entry = json.loads(inputs.comparisons[0].read_text())
    change(entry)
    path = folder / "entry.json"
    path.write_text(json.dumps(entry))
    return dataclasses.replace(inputs, comparisons=[path])


def test_headline_says_who_won_by_how_much_on_what(inputs, text):
    test = json.loads(inputs.comparisons[1].read_text())["tests"][5]
    assert test["treatment"] == "tmdn_gap1" and test["winner"] == "tmdn_gap1"
    words = plain(text)
    assert f"▲ better TMDN, +1 against Copy last, +1: {abs(test['relative_change']):.1%} lower" in words
    assert "n = 12 videos" in words and p_value(test["p_holm"]) + " after Holm" in words
    assert "▼ worse Mean of the history, +1 against Copy last, +1" in words
    assert "Copy last, +1, with nothing to train, scores" in words and "skill" in words


def first_screen(text: str) -> str:
    return text.partition('<section id="overview">')[2].partition("</section>")[0]


def test_the_first_screen_has_one_line_a_track(inputs, text):
    test = json.loads(inputs.comparisons[0].read_text())["tests"][0]
    lines = [plain(row) for row in first_screen(text).split("<tr>")[2:]]
    assert len(lines) == 2
    assert lines[0].startswith(" Next embeddingTMDN against GRU-1024 (1 ahead) ")
    assert f" {test['verdict']} TMDN, +1against GRU-1024, +1 {by_how_much(test)}" in lines[0]
    ends = f"{number(test['difference'], 3)} [{number(test['low'], 3)}, {number(test['high'], 3)}]"
    assert f"{ends}Squared error, embedding unit² on test 12 videos –" in lines[0]
    assert lines[1].startswith(" Future masks") and "IoU of a sample on test 12 videos Copy the last mask0." in lines[1]


def test_a_section_shows_its_pictures_before_its_verdicts_and_folds_every_test(text):
    section = text.partition('<section id="track-masks">')[2].partition("</section>")[0]
    places = [section.index(part) for part in ("SimVP’s masks</h3>", "<img src=", 'class="verdicts"', "<svg", "<td")]
    assert places == sorted(places)
    unfolded = re.sub("<details.*?</details>", "", section, flags=re.S)
    assert "Every test (4)" in section and "p (Holm)" in section and "Learning curves" in section
    assert "p (Holm)" not in unfolded and "Figures: " not in unfolded and "IoU of a sample" in unfolded
    assert "masks on world" in section and "embedding on world" not in section


def test_what_belongs_to_no_track_stands_last(inputs, tmp_path):
    hostile = "<b>A & B</b>"
    tracks = {"masks": Track(hostile, ["simvp", "unet", "copy_mask"], ["masks"]), "empty": Track("Nothing yet")}
    page.write(dataclasses.replace(inputs, tracks=tracks), tmp_path / "r.html")
    found = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="([\w-]+)"', found) == ["overview", "track-masks", "track-empty", "rest"]
    rest = found.partition('<section id="rest">')[2]
    assert rest.count("<article") == 2 and "embedding on world" in rest and "masks on world" not in rest
    assert first_screen(found).count("<tr>") == 1 + 4 and "no comparison is active" in first_screen(found)
    assert found.count("Nothing of it is compared or scored yet.") == 1
    assert hostile not in found and "&lt;b&gt;A &amp; B&lt;/b&gt;" in found


def test_parts_of_the_samples_stand_beside_each_other(text):
    start = text.index("by template, test")
    words = plain(text[start : text.index("</details>", start)].replace("</td>", " | "))
    assert "Lifting | 2 | 0.7 | – |" in words and "Pushing | 10 | 0.1 | 0.25 |" in words


def cautious(inputs: ReportInputs, folder: Path, experiment: str, caution: str) -> ReportInputs:
    """The inputs with facts beside the scores, one experiment's with a caution."""
    facts = []
    for place, scores in enumerate(inputs.scores):
        record = json.loads(scores.with_suffix(".json").read_text())
        told = {"caution": caution} if record["provenance"]["spec"]["experiment"] == experiment else {}
        facts.append(folder / f"{place}.json")
        facts[-1].write_text(json.dumps(record | told))
    return dataclasses.replace(inputs, facts=facts)


def test_a_caution_stands_beside_its_experiment_in_words_and_elsewhere_as_a_mark(inputs, text, tmp_path):
    assert "†" not in text
    warned = cautious(inputs, tmp_path, "tmdn_gap1", "its prompts hold the true progress, <known> from the future.")
    page.write(warned, tmp_path / "report.html")
    found = (tmp_path / "report.html").read_text(encoding="utf-8")
    sentence = "TMDN, +1 †: its prompts hold the true progress, &lt;known&gt; from the future."
    assert first_screen(found).count(sentence) == 1
    cards = found.split("<article")[1:]
    assert [sentence in card.partition("</article>")[0] for card in cards] == [True, True, False]
    groups = found.split('<div class="group">')[1:]
    assert [group.count(sentence) for group in groups] == [1, 0]  # in its group, not in that of the masks
    assert "TMDN, +1 †</b> against" in found and "GRU, +1 †" not in found
    summary = Summary(warned)
    assert summary.warnings(["gru_gap1"]) == [] and len(summary.warnings(["tmdn_gap1", "gru_gap1", "tmdn_gap1"])) == 1


def test_no_significance_and_few_units_are_said_plainly(inputs, tmp_path):
    def change(entry):
        entry["tests"][0].update(significant=False, p_holm=0.4, n=6, verdict=Verdict.BETTER_OPEN)

    page.write(rewritten(inputs, tmp_path, change), tmp_path / "r.html")
    words = plain((tmp_path / "r.html").read_text())
    assert "△ better, not significant TMDN, +1 against GRU-1024, +1" in words and "Only 6 videos" in words


def test_refusals_stand_with_their_reason(text, inputs, tmp_path):
    assert "picks the best of several samples by looking at the truth" in plain(text)

    def change(entry):
        entry["refusals"] += [
            {key: test[key] for key in ("treatment", "baseline", "split", "metric")}
            | {"reason": "b lacks <3> samples", "verdict": Verdict.REFUSED}
            for test in entry["tests"] + entry["intervals"]
        ]
        entry.update(tests=[], intervals=[], family=0)

    page.write(rewritten(inputs, tmp_path, change), tmp_path / "r.html")
    assert "TMDN, +1 against GRU-1024, +1: b lacks &lt;3&gt; samples" in plain((tmp_path / "r.html").read_text())


def test_page_is_whole_and_fetches_nothing(text):
    class Checker(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, name, attributes):
            for key, value in attributes:
                if key in ("src", "href", "xlink:href"):
                    assert (value or "").startswith(("#", "data:")), (name, key, value)
            if name not in ("meta", "img", "input"):
                self.open.append(name)

        def handle_endtag(self, name):
            assert self.open.pop() == name

    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert "@import" not in text and "url(http" not in text and "prefers-color-scheme: dark" in text
    assert re.findall(r'<section id="([\w-]+)"', text) == ["overview", "track-embedding", "track-masks", "rest"]
    linked = re.findall(r'<a [^>]*href="#([\w-]+)"', text.partition("</nav>")[0])
    parts = ["data", "pictures", "encoders", "reading", "provenance"]
    comparisons = [f"comparison-{place}" for place in (1, 2, 3)]
    assert linked == ["overview", "track-embedding", *comparisons[:2], "track-masks", comparisons[2], "rest", *parts]
    assert all(text.count(f' id="{place}"') == 1 for place in linked)


def test_everything_from_files_is_escaped(text, inputs, tmp_path):
    assert "broken/&lt;script&gt;.avi" in text and "&lt;b&gt;not bold&lt;/b&gt;" in text and "<script>.avi" not in text
    hostile = "<img src=x onerror=alert(1)> \udc80 & \"'"
    titles = dict.fromkeys(inputs.titles, hostile)
    made = dataclasses.replace(inputs, titles=titles, galleries=[Gallery(inputs.galleries[0].path, hostile)])
    page.write(made, tmp_path / "r.html")
    assert "<img src=x" not in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_data_section_counts_rejects_and_leaks(text, inputs, tmp_path):
    words = plain(text)
    assert (
        "84videos indexed" in words
        and "3files rejected" in words
        and "no leakage" in words
        and "the file is empty" in words
    )
    splits = json.loads(inputs.data["world"].splits.read_text())
    splits["leakage"]["equal_files"] = [{"value": "ab12", "videos": {"a.mp4": "train", "b.mp4": "test"}}]
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    data = {"world": dataclasses.replace(inputs.data["world"], splits=tmp_path / "splits.json")}
    page.write(dataclasses.replace(inputs, data=data), tmp_path / "r.html")
    words = plain((tmp_path / "r.html").read_text())
    assert "1 equal files in more than one split" in words and "a.mp4 (train), b.mp4 (test)" in words


def test_parts_may_be_absent(inputs, tmp_path):
    page.write(ReportInputs(), tmp_path / "empty.html")
    empty = (tmp_path / "empty.html").read_text()
    assert "No comparison is active" in empty and re.findall(r'<section id="([\w-]+)"', empty) == ["overview"]
    bare = dataclasses.replace(
        inputs, runs=[], data={"world": DataFiles()}, probes=[tmp_path / "no.json"], galleries=[], config=""
    )
    page.write(bare, tmp_path / "bare.html")
    assert "Learning curves" not in (tmp_path / "bare.html").read_text()


def test_equal_inputs_give_equal_pages(inputs, text, tmp_path):
    page.write(inputs, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_a_picture_that_browsers_do_not_show_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"not '\.tiff'"):
        elements.picture(tmp_path / "a.tiff", "caption")


def test_groups_share_task_and_data_and_their_reference_is_a_trivial_baseline(inputs):
    summary = Summary(inputs)
    assert [group.title for group in summary.groups] == ["embedding on world", "masks on world"]
    assert summary.trivial == {"copy_mask", *(f"{name}_gap1" for name in made_results.TRIVIAL)}
    assert summary.reference("tmdn_gap1", "test", "mse") == "copy_last_gap1"
    # Without a comparison that names one, the trivial baseline that is hardest to beat.
    summary.comparisons = []
    assert summary.reference("tmdn_gap1", "test", "cosine") == "copy_last_gap1"
    assert (
        summary.skill("tmdn_gap1", "test", "cosine") is None and summary.skill("copy_last_gap1", "test", "mse")[0] == 0
    )


def runs_of(specs: dict[str, dict]) -> tuple[pd.DataFrame, list[Run]]:
    """experiment → spec, as scores and runs."""
    scores = pd.DataFrame({"experiment": list(specs), "data": "world"})
    return scores, [Run(name, 0, Path(), {"spec": spec}) for name, spec in specs.items()]


def test_experiments_of_other_tasks_share_a_group_where_their_specs_name_equal_samples():
    same = {"samples": "masks 11+11"}
    specs = {
        "direct": {"task": {"name": "masks", "history": 11}} | same,
        "two_stage": {"task": {"name": "frames", "history": 11}} | same,
        "other": {"task": {"name": "masks", "history": 5}, "samples": "masks 5+11"},
        "alone": {"task": {"name": "masks", "history": 11}},
        "alike": {"task": {"history": 11, "name": "masks"}, "samples": None},
    }
    groups = summary_module._groups(*runs_of(specs))
    assert [group.experiments for group in groups] == [["direct", "two_stage"], ["other"], ["alone", "alike"]]
    assert groups[0].title == "masks on world (history 11)"


def test_a_corpus_metric_stands_with_its_interval_and_without_a_test(text, inputs):
    entry = json.loads(inputs.comparisons[-1].read_text())
    interval = next(one for one in entry["intervals"] if one["treatment"] == "simvp")
    words = plain(text)
    assert "↔ interval only SimVP against Copy the last mask: " + by_how_much(interval) in words
    ends = f"[{number(interval['low'], 3)}, {number(interval['high'], 3)}], bootstrap interval over units, no test."
    assert ends in words and "all samples counted together with 95% bootstrap interval over units" in words
    assert "Corpus IoU ↑" in words and "Corpus IoU of single samples" not in words
    own = plain(text[text.index("SimVP’s masks</h3>") : text.rindex("</article>")])
    assert "iou_corpus" not in words and "no test" in own and "median" not in own


@pytest.fixture(scope="module")
def with_twin(tmp_path_factory):
    """A trained network that copies: what the page and the workbook of it say."""
    folder = tmp_path_factory.mktemp("twin")
    inputs = made_results.make(folder, videos=4, windows=2, seeds=1, gaps=(1,), twin=True)
    page.write(inputs, folder / "report.html")
    return inputs, (folder / "report.html").read_text(encoding="utf-8")


def test_a_network_that_predicts_what_a_trivial_baseline_does_is_said_to_equal_it(with_twin):
    words = plain(with_twin[1])
    assert "= equal Lazy SimVP † against Copy the last mask: equal to Copy the last mask" in words
    assert "n = 12 videos; every prediction is the same, bit for bit." in words
    card = plain(with_twin[1][with_twin[1].index("SimVP’s masks</h3>") :].partition("</article>")[0])
    assert "Lazy SimVP †= equal to Copy the last mask= equal to Copy the last mask= equal to" in card  # all metrics
    sentence = "Lazy SimVP †: its predictions on test equal those of Copy the last mask, bit for bit."
    assert words.count(sentence) == 2 and "Copy the last mask †" not in words  # comparison, all experiments
    summary = Summary(with_twin[0])
    assert set(summary.cautions) == {"twin"} and "copy_mask" in summary.trivial


def test_equal_predictions_are_said_of_both_where_neither_is_trivial(with_twin, tmp_path):
    bare = Summary(dataclasses.replace(with_twin[0], runs=[]))
    assert set(bare.cautions) == {"twin", "copy_mask"}


def test_words():
    assert [number(value) for value in (-0.001234, None, float("nan"), 12345.6)] == ["−0.001234", "–", "–", "1.235e+04"]
    assert [p_value(value) for value in (1e-9, 0.03456, 0.5)] == ["p < 0.0001", "p = 0.035", "p = 0.50"]
    one, three = ({"treatment_seeds": seeds, "baseline_seeds": 1} for seeds in (1, 3))
    assert [seeds_text([one]), seeds_text([three]), seeds_text([one, three])] == [
        "1 seed",
        "3 seeds against 1",
        "1–3 seeds against 1",
    ]
    error = {"metric": "mse", "difference": -0.1, "relative_change": -0.123}
    assert by_how_much(error) == "12.3% lower"
    assert by_how_much(error | {"metric": "psnr", "difference": 0.5}) == "0.5 dB higher"


def test_curves_and_scores_of_the_fixture_are_those_of_the_workflow(inputs):
    assert list(read_scores(inputs.scores[:1]).frame().columns) == COLUMNS


def test_groups_of_one_task_are_told_apart_by_what_differs():
    tasks = [("world", {"name": "embedding", "gap": gap, "history": 30}) for gap in (1, 5)]
    assert summary_module._group_titles(tasks) == ["embedding on world (gap 1)", "embedding on world (gap 5)"]
