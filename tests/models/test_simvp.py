"""SimVP against OpenSTL's numbers, the mask predictor on it, and the trivial baselines beside it."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from framecast.models import copy_last_mask, shift_mask, simvp
from framecast.models.simvp import DropPath, SimVP
from framecast.ops.mask_loss import chunked_cross_entropy

torch.set_num_threads(1)
SMALL = simvp.Config(channels=4, hid_s=8, hid_t=16, n_s=2, n_t=2, mlp_ratio=2)


def weights(reference: Path) -> dict[str, Tensor]:
    arrays = np.load(reference / "simvp_small.npz")
    return {name[8:]: torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith("weights/")}


def random_masks(*shape: int, classes: int = 5) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def logits_by_frame(network: simvp.MaskPredictor, masks: Tensor) -> Tensor:
    features, start = network.features(masks), network.start(masks)
    frames = [network.logits(features[:, frame], start[:, frame]) for frame in range(features.shape[1])]
    return torch.stack(frames, dim=1)


# --- against OpenSTL -------------------------------------------------------------------------------------------------


def test_agrees_with_openstl(reference: Path) -> None:
    arrays = np.load(reference / "simvp_small.npz")
    network = SimVP((3, 1, 16, 16), 8, 16, 2, 2)
    network.load_state_dict(weights(reference), strict=True)
    with torch.no_grad():
        output = network.eval()(torch.from_numpy(arrays["input"]))
    assert np.abs(output.numpy() - arrays["output"]).max() < 1e-5


def test_a_shorter_future_is_the_start_of_the_whole_one(reference: Path) -> None:
    frames = torch.from_numpy(np.load(reference / "simvp_small.npz")["input"])
    whole, short = (SimVP((3, 1, 16, 16), 8, 16, 2, 2, frames_out=ahead).eval() for ahead in (3, 2))
    for network in (whole, short):
        network.load_state_dict(weights(reference), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(short(frames), whole(frames)[:, :2])


@pytest.mark.parametrize(("shape", "parameters"), [((10, 1, 64, 64), 46_769_665), ((11, 3, 160, 240), 48_568_067)])
def test_number_of_parameters(shape: tuple[int, int, int, int], parameters: int) -> None:
    with torch.device("meta"):
        network = SimVP(shape, 64, 512, 4, 8)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_weights_are_drawn_as_in_openstl() -> None:
    network = SimVP((4, 3, 32, 32), 32, 256, 4, 4)
    state = network.state_dict()
    assert state["enc.enc.1.conv.conv.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    assert state["hid.enc.1.block.attn.proj_1.weight"].std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.05)
    depthwise = state["hid.enc.1.block.attn.spatial_gating_unit.conv_spatial.weight"]
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 49), rel=0.05)
    assert {state[name].abs().max().item() for name in state if name.endswith(("conv.bias", "fc1.bias"))} == {0.0}
    assert state["hid.enc.3.block.layer_scale_2"].unique().tolist() == [pytest.approx(0.01)]


def test_rates_of_skipped_blocks() -> None:
    network = SimVP((2, 1, 8, 8), 4, 8, 2, 3, drop_path=0.2)
    kept = [block.block.drop_path.keep for block in network.hid.enc]  # type: ignore[union-attr]
    assert kept == pytest.approx([0.99, 1 - 0.105, 0.8])


def test_a_skipped_block_is_skipped_for_whole_samples_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    values = drop(torch.ones(4000, 2, 1, 1))
    assert torch.equal(values[:, 0], values[:, 1]) and values.unique().tolist() == pytest.approx([0, 4 / 3])
    assert values.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(drop.eval()(torch.ones(3, 2, 1, 1)), torch.ones(3, 2, 1, 1))


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("residual", "baseline"), [("last", copy_last_mask), ("moved", shift_mask)])
def test_an_untrained_residual_network_is_its_baseline(residual: str, baseline: ModuleType) -> None:
    masks = random_masks(2, 4, 8, 12)
    logits = simvp.build(SMALL.model_copy(update={"residual": residual}), 5, 4, 2, 8, 12)(masks)
    assert torch.equal(logits, baseline.build(baseline.Config(), 5, 4, 2, 8, 12)(masks) * simvp.COPY)


def test_without_residual_the_readout_is_all() -> None:
    torch.manual_seed(0)
    network = simvp.build(SMALL.model_copy(update={"residual": "none"}), 5, 3, 2, 8, 12).eval()
    assert isinstance(network, simvp.MaskPredictor) and "copy" not in network.state_dict()
    masks = random_masks(2, 3, 8, 12)
    features = network.features(masks)
    torch.testing.assert_close(network(masks).flatten(0, 1), network.simvp.readout(features.flatten(0, 1)))
    assert features.shape == (2, 2, 8, 8, 12)


def test_logits_by_frame_are_those_of_forward() -> None:
    network = simvp.build(SMALL, 5, 3, 2, 8, 12).eval()
    assert isinstance(network, simvp.MaskPredictor)
    torch.nn.init.normal_(network.simvp.dec.readout.weight)  # type: ignore[union-attr, arg-type]
    masks = random_masks(2, 3, 8, 12)
    torch.testing.assert_close(logits_by_frame(network, masks), network(masks))


def test_every_parameter_learns() -> None:
    network = simvp.build(SMALL, 5, 3, 3, 8, 12)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
    masks = random_masks(2, 3, 8, 12)
    for _ in range(2):  # in the first step the readout is zero and nothing reaches what is below it
        optimizer.zero_grad()
        F.cross_entropy(network(masks).movedim(2, 1), masks.long()).backward()
        optimizer.step()
    silent = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]  # type: ignore
    assert not silent


@pytest.mark.parametrize(
    ("height", "ahead", "text"),
    [
        (10, 1, r"height is 10, which is no multiple of 4 = 2\^\(n_s / 2\); take frames of height 8 or 12"),
        (8, 4, "4 frames ahead from 3 given; SimVP predicts 1 to 3 at once"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(height: int, ahead: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        simvp.build(simvp.Config(), 5, 3, ahead, height, 12)


@pytest.mark.parametrize(("key", "value"), [("kernel", 4), ("n_s", 3), ("hid_s", 5), ("n_t", 1), ("hid_S", 16)])
def test_config_refuses(key: str, value: int) -> None:
    with pytest.raises(ValueError, match=key):
        simvp.Config(**{key: value})


# --- baselines -------------------------------------------------------------------------------------------------------


def shift(masks: Tensor, ahead: int, frames: int = 3) -> Tensor:
    network = shift_mask.build(shift_mask.Config(frames=frames), 5, masks.shape[1], ahead, *masks.shape[2:])
    return network(masks).argmax(2)


def drawn(*frames: dict[int, tuple[int, int]], side: int = 2) -> Tensor:
    """One clip [1, T, 10, 12]: squares of each class at (row, column), later ones over earlier ones."""
    masks = torch.zeros(1, len(frames), 10, 12, dtype=torch.uint8)
    for time, squares in enumerate(frames):
        for label, (row, column) in squares.items():
            masks[0, time, row : row + side, column : column + side] = label
    return masks


def test_shift_moves_each_class_on() -> None:
    masks = drawn({1: (0, 0), 2: (8, 6)}, {1: (0, 1), 2: (7, 6)}, {1: (0, 2), 2: (6, 6)})
    expected = drawn({1: (0, 3), 2: (5, 6)}, {1: (0, 4), 2: (4, 6)}, {1: (0, 5), 2: (3, 6)})
    assert torch.equal(shift(masks, 3), expected.long())


def test_shift_paints_the_nearer_object_over_the_farther_one() -> None:
    masks = drawn({1: (4, 0), 2: (3, 6)}, {1: (4, 1), 2: (3, 5)}, {1: (4, 2), 2: (3, 4)})
    assert torch.equal(shift(masks, 1), drawn({2: (3, 3), 1: (4, 3)}).long())


def test_shift_of_an_object_that_leaves_or_has_just_come() -> None:
    masks = drawn({1: (0, 8)}, {1: (0, 9)}, {1: (0, 10), 3: (5, 5)})
    expected = torch.zeros(10, 12, dtype=torch.long)
    expected[0:2, 11], expected[5:7, 5:7] = 1, 3  # half of 1 is out; 3 has no velocity yet
    assert torch.equal(shift(masks, 1)[0, 0], expected)


def test_shift_takes_the_mean_of_the_steps_it_may_look_at() -> None:
    masks = drawn({1: (0, 0)}, {1: (0, 6)}, {1: (0, 7)})
    assert torch.equal(shift(masks, 1, frames=2), drawn({1: (0, 8)}).long())
    assert torch.equal(shift(drawn({1: (0, 0)}, {1: (0, 1)}, {1: (0, 4)}), 1), drawn({1: (0, 6)}).long())  # 2 a frame
    assert torch.equal(shift(masks[:, :1], 2), masks[:, :1].expand(-1, 2, -1, -1).long())


def test_copy_last_is_one_hot() -> None:
    masks = random_masks(2, 3, 8, 12)
    logits = copy_last_mask.build(copy_last_mask.Config(), 5, 3, 2, 8, 12)(masks)
    assert logits.shape == (2, 2, 5, 8, 12) and torch.equal(logits.sum(2), torch.ones(2, 2, 8, 12))
    assert torch.equal(logits.argmax(2), masks[:, -1:].expand(-1, 2, -1, -1).long())


# --- loss read out in chunks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 1, 3, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_chunked_cross_entropy_is_the_plain_one(chunk: int | None, weighted: bool) -> None:
    torch.manual_seed(0)
    network = simvp.build(SMALL, 5, 3, 3, 8, 12)
    assert isinstance(network, simvp.MaskPredictor)
    torch.nn.init.normal_(network.simvp.dec.readout.weight)  # type: ignore[union-attr, arg-type]
    last, targets = random_masks(6, 8, 12), random_masks(7, 8, 12)[1:]
    weight = torch.tensor([1.0, 1, 3, 0, 1, 2]) if weighted else None
    found = []
    for chunked in (False, True):
        network.zero_grad()
        features = torch.randn(6, 8, 8, 12, generator=torch.Generator().manual_seed(1), requires_grad=True)
        if chunked:
            loss = chunked_cross_entropy(features, targets, network.logits, chunk, [last], weight)
        else:
            each = F.cross_entropy(network.logits(features, last), targets.long(), reduction="none").mean((1, 2))
            loss = each.mean() if weight is None else (each * weight).sum() / weight.sum()
        loss.backward()
        learned = [network.copy, *network.simvp.dec.readout.parameters()]  # type: ignore[union-attr, list-item]
        found.append([loss.detach(), features.grad, *(parameter.grad for parameter in learned)])
    for plain, chunked_value in zip(*found, strict=True):
        torch.testing.assert_close(chunked_value, plain, rtol=1e-5, atol=1e-7)


def test_only_one_chunk_of_scores_is_there_at_a_time() -> None:
    sizes: list[int] = []

    def readout(features: Tensor) -> Tensor:
        sizes.append(len(features))
        return features

    features = torch.randn(5, 4, 2, 2, requires_grad=True)
    chunked_cross_entropy(features, random_masks(5, 2, 2, classes=4), readout, 2).backward()
    assert sorted(sizes) == [1, 1, 2, 2, 2, 2]  # forward, and once more in the backward pass
