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
from torchmetrics import JaccardIndex
from torchmetrics.functional import cosine_similarity, mean_absolute_error, mean_squared_error
from torchmetrics.functional.image import peak_signal_noise_ratio as torch_psnr
from torchmetrics.functional.image import structural_similarity_index_measure

from framecast import metrics
from framecast.metrics import (
    METRICS,
    abs_error,
    confusions,
    corpus_iou,
    cosine,
    iou,
    iou_objects,
    mse,
    psnr,
    ranks,
    ssim,
)

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


def test_abs_error_of_identical_inputs_is_zero():
    assert abs_error(A[0], A[0]).tolist() == [0] * 5


def test_abs_error_by_hand():
    np.testing.assert_allclose(abs_error([0.2, 1.0, 0.0], [0.5, 0.25, 1.0]), [30, 75, 100])
    with pytest.raises(ValueError, match=r"abs_error: prediction \(7, 5\)"):
        abs_error(A, B)


def test_abs_error_agrees_with_torchmetrics():
    expected = 100 * mean_absolute_error(torch.from_numpy(A[0]), torch.from_numpy(B[0])).item()
    np.testing.assert_allclose(abs_error(A[0], B[0]).mean(), expected, rtol=1e-5)


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


def test_psnr_agrees_with_torchmetrics():
    a, b = (RNG.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8) for _ in range(2))
    pairs = [(torch.from_numpy(x).float(), torch.from_numpy(y).float()) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(
        psnr(a, b, 255), [torch_psnr(x, y, data_range=255.0).item() for x, y in pairs], rtol=1e-5
    )


def pictures(count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Smooth pictures and noisy copies of them, uint8 [count, 40, 56, 3]."""
    waves = np.sin(np.arange(40)[:, None, None] / 5 + np.arange(56)[:, None] / 9 + np.arange(3))
    truth = np.stack([127 + 100 * waves * (0.4 + 0.2 * place) for place in range(count)])
    noisy = truth + RNG.normal(scale=15, size=truth.shape) * np.arange(1, count + 1)[:, None, None, None]
    return noisy.clip(0, 255).astype(np.uint8), truth.astype(np.uint8)


def test_ssim_of_identical_inputs_is_one():
    truth = pictures()[1]
    np.testing.assert_allclose(ssim(truth, truth, 255), 1, atol=1e-12)


def test_ssim_by_hand():
    """Flat pictures have no variance, so that only the means' term is left: (2ab + C) / (a² + b² + C), with
    C = (0.01 range)²."""
    dark, bright = np.full((1, 16, 16, 3), 100, np.uint8), np.full((1, 16, 16, 3), 150, np.uint8)
    constant = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + constant) / (100**2 + 150**2 + constant)
    np.testing.assert_allclose(ssim(dark, bright, 255), [expected], rtol=1e-9)
    np.testing.assert_allclose(ssim(dark / 255, bright / 255, 1), [expected], rtol=1e-9)


def test_ssim_agrees_with_torchmetrics_where_the_window_lies_in_the_picture():
    """torchmetrics mirrors the picture at its borders and counts the pixels there too; scikit-image leaves them out."""
    found, truth = pictures()
    channels_first = [torch.from_numpy(array).movedim(-1, 1).float() for array in (found, truth)]
    _, each = structural_similarity_index_measure(
        *channels_first, gaussian_kernel=True, sigma=1.5, data_range=255.0, reduction="none", return_full_image=True
    )
    expected = each[..., 5:-5, 5:-5].mean((1, 2, 3))  # [B, C, H, W] -> [B]
    assert 0.1 < expected.min() < expected.max() < 0.95
    np.testing.assert_allclose(ssim(found, truth, 255), expected.numpy(), atol=1e-4)


def test_ssim_needs_a_range_and_pictures_as_large_as_its_window():
    found, truth = pictures()
    with pytest.raises(ValueError, match="data_range is 0"):
        ssim(found, truth, 0)
    with pytest.raises(ValueError, match="at least 11 pixels a side"):
        ssim(found[:, :10], truth[:, :10], 255)
    with pytest.raises(ValueError, match="must have one shape"):
        ssim(found[:2], truth, 255)


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


MASK = np.array([[[0, 0, 0, 1], [0, 2, 2, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]], np.uint8)  # [B, H, W], classes 0 to 3
GUESS = np.array([[[0, 0, 0, 0], [0, 2, 3, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]], np.uint8)


def blobs(count: int, classes: int, seed: int) -> np.ndarray:
    """[count, 3, 8, 12] masks in which most classes are missing from most samples."""
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([np.zeros((count, 1)), rng.integers(0, classes, (count, 3))], axis=1)  # [count, 4]
    return (
        np.take_along_axis(chosen, rng.integers(0, 4, (count, 3 * 8 * 12)), axis=1)
        .reshape(count, 3, 8, 12)
        .astype(np.uint8)
    )


def jaccard(prediction: np.ndarray, truth: np.ndarray, classes: int, **options) -> float:
    judge = JaccardIndex(task="multiclass", num_classes=classes, average="macro", **options)
    return judge(torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(truth.astype(np.int64))).item()


def test_confusions_by_hand():
    both, either = confusions(GUESS, MASK, 5)
    assert both.tolist() == [[4, 1, 1, 0, 0], [8, 0, 0, 0, 0]] and both.dtype == np.int64
    assert either.tolist() == [[5, 2, 2, 1, 0], [8, 0, 0, 0, 0]]


def test_iou_of_identical_inputs_is_one():
    masks = blobs(6, 9, 0)
    assert iou(masks, masks, 9).tolist() == iou_objects(masks, masks, 9).tolist() == [1] * 6


def test_iou_by_hand():
    np.testing.assert_allclose(iou(GUESS, MASK, 5), [(4 / 5 + 1 / 2 + 1 / 2 + 0) / 4, 1])


def test_iou_agrees_with_torchmetrics():
    a, b = blobs(20, 9, 1), blobs(20, 9, 2)
    np.testing.assert_allclose(iou(a, b, 9), [jaccard(x, y, 9) for x, y in zip(a, b, strict=True)], rtol=1e-6)


def test_iou_of_objects_by_hand():
    np.testing.assert_allclose(iou_objects(GUESS, MASK, 5), [(1 / 2 + 1 / 2 + 0) / 3, 1])
    assert iou_objects([[0, 0]], [[0, 1]], 2).tolist() == [0]


def test_iou_of_objects_agrees_with_torchmetrics():
    a, b = blobs(20, 9, 1), blobs(20, 9, 2)
    scores = JaccardIndex(task="multiclass", num_classes=9, average="none")
    for found, x, y in zip(iou_objects(a, b, 9), a, b, strict=True):
        each = scores(torch.from_numpy(x.astype(np.int64)), torch.from_numpy(y.astype(np.int64)))[1:].numpy()
        occurs = np.isin(np.arange(1, 9), np.union1d(x, y))
        assert found == pytest.approx(each[occurs].mean())


def test_corpus_iou_of_identical_inputs_is_one():
    masks = blobs(6, 9, 0)
    assert corpus_iou(*confusions(masks, masks, 9)) == 1


def test_corpus_iou_by_hand():
    assert corpus_iou(*confusions(GUESS, MASK, 5)) == pytest.approx((12 / 13 + 1 / 2 + 1 / 2 + 0) / 4)
    with pytest.raises(ValueError, match="no class occurs"):
        corpus_iou(np.zeros((3, 2)), np.zeros((3, 2)))


def test_corpus_iou_agrees_with_torchmetrics():
    a, b = blobs(20, 30, 1), blobs(20, 30, 2)
    assert corpus_iou(*confusions(a, b, 40)) == pytest.approx(jaccard(a, b, 40))


def test_masks_of_other_classes_or_shapes_are_refused():
    with pytest.raises(ValueError, match=r"prediction \(uint8, 0 to 3\) must hold class numbers from 0 to 2"):
        confusions(GUESS, MASK, 3)
    with pytest.raises(ValueError, match=r"truth \(float64, 0.0 to 2.0\) must hold class numbers"):
        confusions(GUESS, MASK.astype(float), 5)
    with pytest.raises(ValueError, match=r"prediction \(2, 2, 4\) and truth \(1, 2, 4\)"):
        iou(GUESS, MASK[:1], 5)


def test_rows_of_a_corpus_metric_read_back_as_its_counts():
    both, either = confusions(GUESS, MASK, 5)
    samples, names, values = metrics.corpus_rows("iou_corpus", both, either)
    assert names[:2] == ["iou_corpus.intersection.0", "iou_corpus.intersection.1"] and len(names) == 10
    found = {what: np.zeros_like(both) for what in metrics.PARTS}
    for sample, name, value in zip(samples, names, values, strict=True):
        what, number = metrics.part(name)
        found[what][sample, number] = value
    assert (found["intersection"] == both).all() and (found["union"] == either).all()
    assert {metrics.family(name) for name in names} == {"iou_corpus"} and metrics.family("mse") == "mse"


@pytest.mark.parametrize("name", ["iou_corpus", "iou_corpus.union", "iou_corpus.area.1", "iou_corpus.union.01"])
def test_names_that_are_no_part_are_refused(name):
    with pytest.raises(ValueError, match=r"one is 'iou_corpus\.intersection\.17'"):
        metrics.part(name)


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
