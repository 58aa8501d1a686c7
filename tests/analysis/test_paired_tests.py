"""Paired tests hold against scipy.stats, in every case that it treats by itself, and cost no import of it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from framecast.analysis.paired_tests import paired_t, signed_rank, t_margin


@pytest.mark.parametrize("n", [2, 3, 5, 12, 13, 14, 30, 50, 51, 200])
@pytest.mark.parametrize("kind", ["plain", "ties", "zeros", "shifted", "far"])
def test_numbers_are_those_of_scipy(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    permuted = n in (12, 13) and kind in ("ties", "zeros")  # there scipy tries all signs, for seconds
    for _ in range(2 if permuted else 20):
        differences = rng.normal(0, 1, n) + {"shifted": 0.5, "far": 5.0}.get(kind, 0.0)
        if kind in ("ties", "zeros"):
            differences = np.round(differences * 2) + (0.0 if kind == "zeros" else 0.25)
        if np.ptp(differences) == 0:
            continue
        expected = stats.ttest_1samp(differences, 0)
        assert paired_t(differences) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
        low, high = expected.confidence_interval(0.9)
        assert t_margin(differences.std(ddof=1), n, 0.1) == pytest.approx((high - low) / 2, rel=1e-12)
        rank = stats.wilcoxon(differences)
        assert signed_rank(differences) == pytest.approx((rank.statistic, rank.pvalue), rel=1e-10)


def test_hand_computed_ranks() -> None:
    # |d| 1 2 2 4: ranks 1, 2.5, 2.5, 4; negative: 2.5. Sums of random signs at most 2.5: {} 1 2.5 2.5, so 4 of 16.
    assert signed_rank(np.array([1.0, 2, -2, 4])) == (2.5, 0.5)


def test_a_comparison_imports_neither_pandas_nor_scipy_stats() -> None:
    code = (
        "import sys, numpy; from framecast.analysis import statistics; from framecast.scores import Scores, COLUMNS\n"
        "rows = [(name, 'd', 'test', 0, str(unit), str(unit), 'psnr', value * (1 + unit) + unit ** 2)"
        " for name, value in (('a', 1.0), ('b', 2.0)) for unit in range(5)]\n"
        "table = Scores.of(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))\n"
        "entry = {'baseline': 'a', 'treatments': ['b'], 'splits': ['test'], 'metrics': ['psnr'], 'alpha': 0.05}\n"
        "assert statistics.compare('c', entry, table, {}, 'select')['tests']\n"
        "print([name for name in ('pandas', 'scipy.stats', 'torch', 'matplotlib') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found.strip() == "[]"
