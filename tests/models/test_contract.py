"""What every module in framecast.models keeps to. New modules are found by themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic_core import PydanticUndefined
from torch import Tensor

from framecast.config.base import Closed
from framecast.core import components

torch.set_num_threads(1)
NAMES = components.names("models")
# Shape keywords of `build` → small values, what the network is called with, and the shape that comes out. A new track
# adds one line, a new model of a known track none.
SHAPES: dict[tuple[str, ...], tuple[dict[str, Any], Callable[[Any], Tensor], Callable[[Any], tuple[int, ...]]]] = {
    ("gap", "history", "width"): (
        {"width": 6, "history": 8, "gap": 2}, lambda network: network(EMBEDDINGS), lambda network: (3, 8, 6),
    ),
    ("base", "given", "latent", "size", "width"): (
        {"latent": 4, "given": True, "size": (8, 12), "width": 6, "base": None}, lambda network: network(*NOISY),
        lambda network: (2, 4, 8, 12),
    ),
    ("shape",): ({}, lambda network: network.answer(*ANSWERED), lambda network: (2, 4, 8, 3)),
    ("grid", "size"): (
        {"size": 32, "grid": 4}, lambda network: network.encode(FRAMES), lambda network: (2, network.width),
    ),
    ("ahead", "classes", "given", "height", "width"): (
        {"classes": 5, "given": 3, "ahead": 2, "height": 8, "width": 12}, lambda network: network(MASKS),
        lambda network: (2, 2, 5, 8, 12),
    ),
    ("channels", "classes", "height", "width"): (
        {"channels": 3, "classes": 5, "height": 32, "width": 32}, lambda network: network(FRAMES),
        lambda network: (2, 5, 32, 32),
    ),
    ("height", "width"): (
        {"height": 32, "width": 32}, lambda network: network(2 * FRAMES - 1), lambda network: (2, 3, 32, 32),
    ),
    ("frames", "length", "longest", "templates", "vocabulary"): (
        {"frames": 3, "length": 7, "longest": 9, "vocabulary": 11, "templates": 2}, lambda network: network(*CLIPS),
        lambda network: (2,),
    ),
    ("length", "size", "vocabulary"): (
        {"length": 7, "size": 32, "vocabulary": 11}, lambda network: torch.stack(network(FRAMES, CLIPS[1])),
        lambda network: (2, 2, 64),
    ),
}  # fmt: skip
EMBEDDINGS = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(0))
FRAMES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
MASKS = torch.randint(5, (2, 3, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
CLIPS = (
    torch.rand(2, 3, 3, 32, 48, generator=torch.Generator().manual_seed(0)),
    torch.tensor([[0, 5, 6, 1], [0, 7, 1, 1]]), torch.tensor([[True] * 4, [True] * 3 + [False]]),
    torch.tensor([4.0, 8.0]),
)  # fmt: skip
NOISY = (
    torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 900]),
    torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1)),
    torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(2)),
)  # fmt: skip
ANSWERED = (
    torch.randint(256, (2, 4, 8, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    torch.randn(2, 4, 8, 3, generator=torch.Generator().manual_seed(1)),
)
# Small values for keys without a default; everything else stands as the module has it.
REQUIRED = {"cell": "gru"}
# Models whose network needs a package that is no dependency of ours; without it, skipped with the reason.
OPTIONAL = {"framecast.models.openstl_simvp"}


def config(module):
    keys = {
        name: REQUIRED[name] for name, field in module.Config.model_fields.items() if field.default is PydanticUndefined
    }
    return module.Config(**keys)


def shaped(module):
    keywords = tuple(sorted(list(inspect.signature(module.build).parameters)[1:]))
    if keywords not in SHAPES:
        pytest.fail(f"{module.__name__}.build takes {keywords}, which tests/models/test_contract.py has no shapes for")
    return SHAPES[keywords]


def built(module, shape):
    try:
        return module.build(config(module), **shape)
    except ImportError as error:
        if module.__name__ not in OPTIONAL:
            raise
        pytest.skip(str(error))


@pytest.fixture(params=NAMES)
def module(request):
    return components.load_model(request.param)


def test_there_are_models():
    assert {"tmdn", "recurrent", "copy_last", "mean", "linear"} <= set(NAMES)


def test_says_what_it_is(module):
    assert module.__doc__ and module.build.__doc__
    assert issubclass(module.Config, Closed)
    assert {name for name, field in module.Config.model_fields.items() if not field.description} == set()
    assert len(inspect.getsource(module).splitlines()) <= 350


def test_forward_shape(module):
    shape, call, expected = shaped(module)
    network = built(module, shape).eval()
    with torch.no_grad():
        result = call(network)
    assert result.shape == expected(network) and result.isfinite().all()


def test_state_dict_round_trip(module):
    shape, call, _ = shaped(module)
    torch.manual_seed(0)
    first = built(module, shape).eval()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    torch.manual_seed(1)
    second = built(module, shape).eval()
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(call(first), call(second))


def test_same_seed_same_weights(module):
    shape, _, _ = shaped(module)
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(built(module, shape).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_knows_no_tasks_and_stores(module):
    imports = [line for line in inspect.getsource(module).splitlines() if line.lstrip().startswith(("from", "import"))]
    assert not [line for line in imports if "framecast.tasks" in line or "framecast.stores" in line]
