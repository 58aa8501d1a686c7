"""Each metric: identical inputs, a case worked by hand, agreement with a reference library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional import cosine_similarity, mean_squared_error

from framecast import metrics
from framecast.metrics import METRICS, cosine, mse, psnr, ranks

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(7, 5)).astype(np.float32), RNG.normal(size=(7, 5)).astype(np.float32)


def test_mse_of_identical_inputs_is_zero():
    assert mse(A, A).tolist() == [0] * 7


def test_mse_by_hand():
    assert mse([[1.0, 2.0], [0.0, 0.0]], [[1.0, 4.0], [3.0, 4.0]]).tolist() == [2.0, 12.5]


def test_mse_agrees_with_torchmetrics():
    expected = [mean_squared_error(torch.from_numpy(a), torch.from_numpy(b)).item() for a, b in zip(A, B, strict=True)]
    np.testing.assert_allclose(mse(A, B), expected, rtol=1e-5)


def test_cosine_of_identical_inputs_is_one():
    np.testing.assert_allclose(cosine(A, A), 1, atol=1e-12)
    assert cosine(A, A).max() <= 1


def test_cosine_by_hand():
    np.testing.assert_allclose(cosine([[1.0, 0], [1, 1], [2, 0], [0, 0]], [[0.0, 3], [2, 0], [-1, 0], [1, 0]]),
                               [0, 2**-0.5, -1, 0], atol=1e-12)  # fmt: skip


def test_cosine_agrees_with_torchmetrics():
    expected = cosine_similarity(torch.from_numpy(A), torch.from_numpy(B), reduction="none").numpy()
    np.testing.assert_allclose(cosine(A, B), expected, rtol=1e-5)


def test_psnr_of_identical_inputs_is_infinite():
    picture = np.zeros((2, 4, 4, 3), np.uint8)
    assert psnr(picture, picture, 255).tolist() == [np.inf, np.inf]


def test_psnr_by_hand():
    np.testing.assert_allclose(psnr(np.full((1, 2, 2), 0.1), np.zeros((1, 2, 2)), 1), [20])


def test_psnr_agrees_with_scikit_image():
    a, b = (RNG.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8) for _ in range(2))
    expected = [peak_signal_noise_ratio(y, x, data_range=255) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(psnr(a, b, 255), expected)


def test_psnr_needs_a_range():
    with pytest.raises(ValueError, match="data_range is 0"):
        psnr(A, B, 0)


def test_rank_of_an_exact_prediction_is_one():
    assert ranks(A, A, A, np.arange(7)).tolist() == [1] * 7


def test_rank_by_hand():
    gallery = [[0.0], [1.0], [2.0], [3.0], [10.0]]
    #  query 0.9: nearest 1, then 0, 2, 3, 10.   query 4: 3, 2, 1, 0, 10.
    assert ranks([[0.9], [0.9], [4.0]], [[1.0], [2.0], [10.0]], gallery, np.array([1, 2, 4])).tolist() == [1, 3, 5]


def test_rank_of_ties_is_the_middle():
    gallery = [[1.0, 0], [1.0, 0], [-1.0, 0], [0.0, 5]]
    # Three vectors at distance 1 from the origin share places 1, 2, 3.
    assert ranks([[0.0, 0]], [[1.0, 0]], gallery, np.array([0])).tolist() == [2]
    # A static video: all frames equal, so nothing is known: the middle of 1..4.
    assert ranks([[0.0]], [[1.0]], [[1.0]] * 4, np.array([2])).tolist() == [2.5]


def test_rank_of_a_truth_outside_the_gallery_counts_it_once():
    assert ranks([[0.0]], [[1.0]], [[0.5], [2.0]]).tolist() == [2]
    assert ranks([[0.0]], [[1.0]], [[1.0], [2.0]]).tolist() == [1.5]  # an equal stranger is a tie


@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_rank_agrees_with_scipy_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr(metrics, "BLOCK", block)
    gallery = np.repeat(RNG.normal(size=(40, 6)).astype(np.float32), [1, 3] * 20, axis=0)  # with equal frames
    own = RNG.integers(0, len(gallery), 25)
    queries = gallery[own] + RNG.normal(size=(25, 6)).astype(np.float32)
    expected = [rankdata(row.round(9))[place] for row, place in zip(cdist(queries, gallery), own, strict=True)]
    assert ranks(queries, gallery[own], gallery, own).tolist() == expected


def test_rank_keeps_small_distances_apart_far_from_the_origin():
    gallery = 1000 + np.array([[0.0], [1e-3], [2e-3]])
    assert ranks(gallery + 1e-4, gallery, gallery, np.arange(3)).tolist() == [1, 1, 1]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"mse: prediction \(7, 5\) and truth \(7, 4\)"):
        mse(A, B[:, :4])
    with pytest.raises(ValueError, match=r"gallery \(7, 4\) does not hold vectors of 5"):
        ranks(A, B, B[:, :4])


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert metric.title and metric.description.endswith("."), name
    assert [name for name, metric in METRICS.items() if metric.oracle] == ["mse_best"]


def test_metrics_import_no_torch():
    code = "import sys, framecast.metrics; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
