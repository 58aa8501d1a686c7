"""The workbook, read back: numbers are numbers, text is text, nothing is missing, equal inputs give equal bytes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile

import openpyxl
import pandas as pd
import pytest

from framecast.analysis import workbook
from framecast.analysis.answers import Track
from framecast.analysis.summary import ReportInputs
from framecast.scores import read as read_scores
from tests import made_results


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    inputs = made_results.make(folder, videos=8, windows=3, seeds=2)
    workbook.write(inputs, folder / "summary.xlsx")
    return inputs, folder / "summary.xlsx"


@pytest.fixture(scope="module")
def book(made):
    return openpyxl.load_workbook(made[1])


def table(sheet) -> pd.DataFrame:
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    return pd.DataFrame(rows[1:], columns=rows[0])


def test_sheets_are_headed_frozen_filtered_and_noted(book):
    expected = {"Overview", "Verdicts", "Charts", "Summary", "Tests", "Intervals", "Refused", "Per experiment",
                "Units of tmdn_against_gru_1", "Units of tmdn_against_gru_5", "Units of masks", "Per sample", "Data",
                "Rejected", "Provenance", "Config"}  # fmt: skip
    assert book.sheetnames[0] == "Overview" and not [name for name in book.sheetnames if "Per unit" in name]
    assert expected <= set(book.sheetnames) and "Equal" not in book.sheetnames
    for sheet in book.worksheets:
        if sheet.title != "Charts":
            assert sheet.freeze_panes == "B3" and sheet.auto_filter.ref.startswith("A2:")
            assert sheet["A1"].value and sheet["A2"].font.bold
            assert all(sheet.column_dimensions[cell.column_letter].width >= 9 for cell in sheet[2])


def test_the_first_sheet_answers_in_one_row_a_track(made, book):
    found = table(book["Overview"])
    assert found["track"].tolist() == ["Next embedding", "Future masks"]
    test = json.loads(made[0].comparisons[0].read_text())["tests"][0]
    row = found.iloc[0]
    assert row["comparison"] == "TMDN against GRU-1024 (1 ahead)" and row["best trained model"] == "TMDN, +1"
    assert (row["verdict"], row["n (units)"]) == (test["verdict"], 8) and pd.isna(row["strongest simple rule"])
    assert [row[key] for key in ("difference", "low", "high")] == pytest.approx(
        [test[key] for key in ("difference", "low", "high")]
    )
    row = found.iloc[1]
    assert (row["best trained model"], row["strongest simple rule"]) == ("SimVP", "Copy the last mask")
    assert row["metric"] == "IoU of a sample", "the first metric that can be tested, not the corpus IoU before it"


def test_a_track_without_a_comparison_and_a_comparison_without_a_track_have_a_row(made, tmp_path):
    tracks = {"empty": Track("Nothing yet"), "masks": made[0].tracks["masks"]}
    workbook.write(dataclasses.replace(made[0], tracks=tracks), tmp_path / "a.xlsx")
    found = table(openpyxl.load_workbook(tmp_path / "a.xlsx")["Overview"])
    assert found["track"].fillna("").tolist() == ["Nothing yet", "Future masks", "", "", "", ""]
    assert found["remark"][0] == "no comparison is active" and pd.isna(found["verdict"][0])
    assert found["comparison"][2] == "TMDN against GRU-1024 (1 ahead)"


def test_names_of_sheets_are_what_excel_allows():
    book = openpyxl.Workbook(write_only=True)
    long = "Units of a_comparison_with_a_long_name"
    titles = [long, long + "_too", long.upper(), "Units of [a]: b/c\\d*?", "'quoted'", "\x07", "''"]
    for title in titles:
        book.create_sheet(workbook._sheet_name(book, title))
    names = book.sheetnames
    assert names[:3] == [
        "Units of a_comparison_with_a_l…",
        "Units of a_comparison_with… (2)",
        "UNITS OF A_COMPARISON_WITH… (3)",
    ]
    assert all(len(name) <= 31 and not set(name) & set("[]:*?/\\") for name in names)
    assert len({name.lower() for name in names}) == len(titles) and "quoted" in names and "Sheet" in names


def test_a_caution_stands_in_the_remarks_and_in_the_summary(made, tmp_path):
    facts = []
    for place, scores in enumerate(made[0].scores):
        record = json.loads(scores.with_suffix(".json").read_text())
        told = {"caution": "knows the end."} if record["provenance"]["spec"]["experiment"] == "gru_gap1" else {}
        facts.append(tmp_path / f"{place}.json")
        facts[-1].write_text(json.dumps(record | told))
    workbook.write(dataclasses.replace(made[0], facts=facts), tmp_path / "summary.xlsx")
    book = openpyxl.load_workbook(tmp_path / "summary.xlsx")
    overview, levels = table(book["Verdicts"]), table(book["Summary"])
    marked = (overview["treatment"] == "GRU, +1 †") | (overview["against"] == "GRU, +1 †")
    said = overview["remark"].fillna("").str.endswith("GRU, +1 †: knows the end.")
    assert marked.any() and (said == marked).all()
    assert (levels["caution"].notna() == (levels["key"] == "gru_gap1")).all()
    assert set(levels["caution"].dropna()) == {"knows the end."}


def test_tests_sheet_holds_the_numbers_of_the_comparisons(made, book):
    found = table(book["Tests"])
    tests = [test for path in made[0].comparisons for test in json.loads(path.read_text())["tests"]]
    assert found["p (Holm)"].tolist() == pytest.approx([test["p_holm"] for test in tests], rel=1e-12)
    assert found["difference"].tolist() == pytest.approx([test["difference"] for test in tests], rel=1e-12)
    cell = book["Tests"].cell(3, list(found.columns).index("p (Holm)") + 1)
    assert cell.data_type == "n" and "0.0000" in cell.number_format


def test_summary_is_mean_over_units_with_skill_over_copying(made, book):
    found = table(book["Summary"])
    row = found[(found["key"] == "tmdn_gap1") & (found["metric"] == "Squared error")].iloc[0]
    scores = read_scores(made[0].scores).frame()
    part = scores[scores["metric"] == "mse"]
    means = {name: rows.groupby("unit")["value"].mean().mean() for name, rows in part.groupby("experiment")}
    assert row["value"] == pytest.approx(means["tmdn_gap1"]) and row["n (units)"] == 8 and row["seeds"] == 2
    assert row["skill"] == pytest.approx(1 - means["tmdn_gap1"] / means["copy_last_gap1"])
    assert row["skill over"] == "Copy last, +1" and row["unit"] == "embedding unit²"
    assert found.loc[found["key"] == "copy_last_gap1", "nothing to train"].eq("yes").all()


def test_per_unit_sheet_is_what_the_t_test_needs(made, book):
    from scipy.stats import ttest_rel

    found = table(book["Units of tmdn_against_gru_1"])
    part = found[found["metric"] == "Squared error"]
    test = json.loads(made[0].comparisons[0].read_text())["tests"][0]
    assert ttest_rel(part["TMDN, +1"], part["GRU-1024, +1"]).pvalue == pytest.approx(test["p"])


def test_parts_of_the_samples_have_a_sheet(made, book):
    seeds = sum("gru_gap1" in str(path) for path in made[0].scores)
    rows = list(book["By template, tmdn_against_gru_1"].iter_rows(min_row=2, values_only=True))
    assert rows[0] == ("template", "n (units)", "Copy last, +1", "GRU, +1")
    assert rows[1:] == [("Lifting", 2, 0.7, None), ("Pushing", 10, 0.1, pytest.approx(0.2 + 0.1 * (seeds - 1) / 2))]


def test_text_stays_text(book):
    cells = [cell for row in book["Rejected"].iter_rows(min_row=3) for cell in row]
    found = next(cell for cell in cells if str(cell.value).startswith("=cmd"))
    assert found.data_type == "s" and found.quotePrefix
    assert not [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [("=1+1", "=1+1"), ("+1", "+1"), ("-1", "-1"), ("@x", "@x"), ("a\x00b\x1fc", "a�b�c"), ("\ud83d.mp4", "�.mp4"),
     ("line\nbreak", "line\nbreak"), ("", None), ("x" * 40_000, "x" * 32_766 + "…"), ("007", "007"), ("#N/A", "#N/A")],
)  # fmt: skip
def test_hostile_text_survives_the_way_out_and_back(tmp_path, text, kept):
    book = openpyxl.Workbook(write_only=True)
    workbook._fill(book, workbook.Sheet("s", "note", [workbook.Column("c")], [[text]]))
    book.save(tmp_path / "b.xlsx")
    cell = openpyxl.load_workbook(tmp_path / "b.xlsx")["s"]["A3"]
    assert cell.value == kept and cell.data_type in ("s", "n" if kept is None else "s")


def test_what_is_no_number_does_not_pretend_to_be_one(tmp_path):
    book = openpyxl.Workbook(write_only=True)
    rows = [[float("nan")], [float("inf")], [None], [3], [2.5], [True]]
    workbook._fill(book, workbook.Sheet("s", "note", [workbook.Column("c", "number")], rows))
    book.save(tmp_path / "b.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "b.xlsx")["s"]
    assert [sheet.cell(row, 1).value for row in range(3, 9)] == [None, "inf", None, 3, 2.5, "True"]


def test_number_formats_show_about_four_digits():
    assert [workbook._digits(value) for value in (0.01234, 12.34, 1234.5, 1e-7, 3.0)] == [
        "0.00000", "0.00", "0", "0.00E+00", "0",
    ] or workbook._digits(1234.5) == "#,##0"  # fmt: skip


def test_verdicts_are_coloured_and_charts_are_native(made, book):
    assert len(book["Tests"].conditional_formatting) and len(book["Summary"].conditional_formatting)
    with zipfile.ZipFile(made[1]) as archive:
        charts = [name for name in archive.namelist() if name.startswith("xl/charts/chart")]
        # Four comparisons with two tested means each, one with two means and a corpus figure.
        assert len(charts) == 11
        drawn = archive.read(charts[0]).decode()
    assert "<barChart>" in drawn and "<lineChart>" in drawn and "<errBars>" in drawn


def mask_results(made) -> dict:
    return json.loads(made[0].comparisons[-1].read_text())


def test_a_corpus_metric_has_its_value_and_its_bootstrap_interval(made, book):
    interval, found = mask_results(made)["intervals"][1], table(book["Summary"])
    assert (interval["treatment"], interval["metric"]) == ("simvp", "iou_corpus")
    row = found[(found["key"] == "simvp") & (found["metric"] == "Corpus IoU")].iloc[0]
    assert row["value"] == pytest.approx(interval["treatment_value"]) and row["n (units)"] == 12
    assert [row["95% low"], row["95% high"]] == pytest.approx(interval["treatment_interval"])
    row = table(book["Intervals"]).query("metric == 'Corpus IoU' and treatment == 'SimVP'").iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((interval["low"], interval["high"]))
    assert row["verdict"] == "interval only"
    row = table(book["Verdicts"]).query("metric == 'Corpus IoU' and treatment == 'SimVP'").iloc[0]
    assert row["remark"] == "bootstrap interval over units, no test" and pd.isna(row["p (Holm)"])
    assert row["verdict"] == "interval only"


def test_equal_predictions_have_a_sheet_and_a_verdict(tmp_path):
    inputs = made_results.make(tmp_path, videos=4, windows=2, seeds=1, gaps=(1,), twin=True)
    workbook.write(inputs, tmp_path / "summary.xlsx")
    book = openpyxl.load_workbook(tmp_path / "summary.xlsx")
    equal, overview, levels = (table(book[name]) for name in ("Equal", "Verdicts", "Summary"))
    assert len(equal) == 3 and set(equal["verdict"]) == {"equal to Copy the last mask"}
    said = overview[overview["treatment"] == "Lazy SimVP †"]
    assert set(said["verdict"]) == {"equal to Copy the last mask"} and said["p (Holm)"].isna().all()
    assert (
        said["remark"].str.startswith("every prediction is the same, bit for bit; Lazy SimVP †: its predictions").all()
    )
    assert levels.loc[levels["key"] == "twin", "caution"].str.contains("equal those of Copy the last mask").all()


def test_parts_of_a_corpus_metric_are_named_nowhere(book):
    texts = [str(cell.value) for sheet in book.worksheets for row in sheet.iter_rows() for cell in row if cell.value]
    assert not [text for text in texts if "iou_corpus." in text]
    assert "Corpus IoU" not in "".join(map(str, table(book["Per sample"]).columns))
    assert set(table(book["Units of masks"])["metric"]) == {"IoU of a sample", "IoU of a sample, objects"}


def test_bars_of_a_chart_reach_as_far_as_the_interval(made, book):
    rows = list(book["Charts"].iter_rows(max_col=5, values_only=True))
    start = next(place for place, row in enumerate(rows) if row[0] == "SimVP’s masks: Corpus IoU on test")
    name, value, below, above, base = rows[start + 2]
    level = next(one for one in mask_results(made)["levels"] if one["experiment"] == "simvp")
    assert (name, value, value - below, value + above) == pytest.approx(
        ("SimVP", level["value"], level["low"], level["high"])
    )
    assert base == pytest.approx(mask_results(made)["levels"][0]["value"])


def test_equal_inputs_give_equal_bytes(made, tmp_path):
    workbook.write(made[0], tmp_path / "again.xlsx")
    assert (tmp_path / "again.xlsx").read_bytes() == made[1].read_bytes()


def test_many_samples_are_capped_and_the_sheet_says_so(made, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "SAMPLE_ROWS", 10)
    workbook.write(made[0], tmp_path / "few.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "few.xlsx")["Per sample"]
    assert sheet.max_row == 12 and "The first 10 of 588 samples" in sheet["A1"].value and ".csv" in sheet["A1"].value
    assert not table(sheet)["Squared error, embedding unit²"].isna().any()


def test_scores_of_a_corpus_metric_alone_make_no_sheet_of_samples(made, tmp_path):
    scores = read_scores([path for path in made[0].scores if "simvp" in str(path)]).frame()
    scores[scores["metric"].str.startswith("iou_corpus")].to_csv(tmp_path / "test.csv", index=False)
    workbook.write(ReportInputs(scores=[tmp_path / "test.csv"]), tmp_path / "a.xlsx")
    found = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert not [name for name in found.sheetnames if name.startswith("Units of")] and found["Per sample"].max_row == 2
    assert table(found["Summary"])["metric"].tolist() == ["Corpus IoU"]


def test_parts_may_be_absent(made, tmp_path):
    workbook.write(dataclasses.replace(made[0], comparisons=[], runs=[], data={}, config=""), tmp_path / "a.xlsx")
    assert "Charts" not in openpyxl.load_workbook(tmp_path / "a.xlsx").sheetnames
    workbook.write(ReportInputs(), tmp_path / "b.xlsx")
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").sheetnames


def test_no_torch():
    modules = "framecast.analysis.workbook, framecast.analysis.report.page, framecast.analysis.statistics"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
