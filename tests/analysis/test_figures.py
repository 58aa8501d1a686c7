"""Figures: they draw, they fit into a page, equal input gives equal bytes, and labels are only labels."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from framecast.analysis import figures

NOISE = np.random.default_rng(0).lognormal(0, 1, 600)
ROWS = {
    "means": (
        figures.means,
        [figures.Mean("a", 2.0, 1.5, 2.5, "#0072b2", [1.9, 2.1]), figures.Mean("b", 3.0, None, None, "#8a9099")],
        ("error, dB", "a"),
    ),
    "differences": (
        figures.differences,
        [figures.Differences("a", NOISE - 1, 0.3, 0.1, 0.5, "worse")],
        ("difference", "lower"),
    ),
    "distributions": (figures.distributions, [figures.Distribution("a", NOISE, "#0072b2")], ("error",)),
    "curves": (
        figures.curves,
        [figures.Curve("a", "#0072b2", {0: (np.arange(5), NOISE[:5]), 1: (np.arange(3), NOISE[5:8])})],
        ("loss",),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_svg_stands_alone_takes_the_page_ink_and_repeats_exactly(name):
    draw, rows, rest = ROWS[name]
    svg = draw(rows, *rest)
    assert svg == draw(rows, *rest)
    root = ElementTree.fromstring(svg)
    assert "viewBox" in root.attrib and "width" not in root.attrib
    text = svg.decode()
    assert "currentColor" in text and figures.INK not in text
    assert "<style" not in text and "http" not in text.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("name", ROWS)
def test_png_for_files(name):
    draw, rows, rest = ROWS[name]
    assert draw(rows, *rest, kind="png").startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="'svg' or 'png'"):
        draw(rows, *rest, kind="pdf")


def test_labels_are_no_mathematics_and_no_markup():
    label = "$x^2$ <script> & _long_" + "y" * 60
    svg = figures.means([figures.Mean(label, 1.0, 0.5, 1.5, "#0072b2")], "a $ b").decode()
    assert "<script>" not in svg and "$x^2$ &lt;script&gt;" in svg and "…" in svg and "a $ b" in svg


def test_empty_figures_do_not_fail():
    for draw, _, rest in ROWS.values():
        assert draw([], *rest).startswith(b"<svg")


def test_colours_grey_for_what_has_nothing_to_train():
    found = figures.colours(["copy", "gru", "tmdn"], {"copy"})
    assert found == {"copy": figures.TRIVIAL, "gru": figures.PALETTE[0], "tmdn": figures.PALETTE[1]}
    assert len(figures.colours([str(i) for i in range(20)])) == 20


def test_mean_curve_is_over_steps_that_all_seeds_have():
    curve = figures.Curve(
        "a", "k", {0: (np.array([0, 10, 20]), np.array([4.0, 2, 1])), 1: (np.array([0, 10]), np.array([2.0, 4]))}
    )
    steps, mean = figures._mean_curve(curve)
    assert steps.tolist() == [0, 10] and mean.tolist() == [3, 3]


def test_curves_are_read_by_split_and_quantity(tmp_path):
    rows = ["step,split,quantity,value,learning_rate", "20,select,mse,1.5,1", "10,select,mse,2.5,1", "10,train,mse,9,1"]
    (tmp_path / "curve.csv").write_text("\n".join(rows))
    steps, values = figures.read_curve(tmp_path / "curve.csv", "select", "mse")
    assert steps.tolist() == [10, 20] and values.tolist() == [2.5, 1.5]
    assert not len(figures.read_curve(tmp_path / "curve.csv", "select", "other")[0])
