"""U-Net: shapes at any size, its levels, and that it can learn."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from framecast.models import unet

torch.set_num_threads(1)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 50), (5, 3)])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_any_size(height: int, width: int, norm: str) -> None:
    network = unet.build(unet.Config(width=6, depth=3, norm=norm), 3, 7, height, width).eval()  # type: ignore
    with torch.no_grad():
        assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_padding_is_cut_where_it_was_added() -> None:
    torch.manual_seed(0)
    network = unet.build(unet.Config(width=4, depth=2), 3, 5, 8, 8).eval()
    frame = torch.rand(1, 3, 8, 8)
    small = frame[..., :7, :6]
    padded = F.pad(small, (0, 2, 0, 1), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(small), network(padded)[..., :7, :6])


def test_widths_double_a_level() -> None:
    network = unet.UNet(unet.Config(width=4, depth=3), 3, 5)
    assert [level[0].out_channels for level in network.down] == [8, 16, 32]  # type: ignore[index, union-attr]
    assert [up.narrow.out_channels for up in network.up] == [16, 8, 4]  # type: ignore[union-attr]


def test_sees_far() -> None:
    torch.manual_seed(0)
    network = unet.build(unet.Config(width=4, depth=3, norm="group"), 3, 3, 32, 32)
    frames = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(frames)[0, 0, -1, -1].backward()
    assert frames.grad is not None and frames.grad[0, :, 2, 2].any()


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_learns_small_things_with_sharp_edges(norm: str) -> None:
    torch.manual_seed(0)
    network = unet.build(unet.Config(width=8, depth=1, norm=norm), 3, 4, 8, 8)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    frames, masks = torch.zeros(24, 3, 8, 8), torch.zeros(24, 8, 8, dtype=torch.long)
    for index in range(24):
        row, column, channel = index % 5, index % 4 + 1, index % 3
        frames[index, channel, row : row + 3, column : column + 3] = 1
        masks[index, row : row + 3, column : column + 3] = 1 + channel
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(network(frames), masks).backward()
        optimizer.step()
    assert (network(frames).argmax(1) == masks).all()
