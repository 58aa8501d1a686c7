"""Learning rates: how they move over the steps, and how they differ between parameters."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from framecast.config.base import Budget
from framecast.weights.state_dict import top_level


def rate(budget: Budget, peak: float, step: int) -> float:
    """Learning rate of optimiser step `step` (0-based): a linear rise over `warmup`, then a cosine to zero.

    A pure function of the step, so that a resumed run needs no scheduler state.
    """
    rising = round(budget.warmup * budget.steps)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, budget.steps - rising)))


def ema_decay(budget: Budget, step: int) -> float:
    """Decay of the averaged weights after step `step` (0-based); rises to `ema`, so that the start is soon forgotten.

    Source: the `num_updates` rule of TensorFlow's ExponentialMovingAverage, min(decay, (1 + n) / (10 + n)).
    """
    return min(budget.ema, (2 + step) / (11 + step))


def parameter_groups(module: nn.Module, budget: Budget) -> list[dict[str, Any]]:
    """Groups for AdamW, with `factor` (of the learning rate) in each; frozen parameters are told so and left out.

    The longest matching prefix of `factors` and `freeze` decides; `freeze` counts as factor 0 and wins a tie.

    Raises:
        ValueError: a prefix that matches no parameter, or nothing is left to train.
    """
    table = {**budget.factors, **dict.fromkeys(budget.freeze, 0.0)}
    named = dict(module.named_parameters())
    _check_prefixes(table, named, module)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        factor = _factor(name, table)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            groups.setdefault((factor, parameter.ndim >= 2), []).append(parameter)
    if not groups:
        raise ValueError("nothing to train: the model has no parameters, or all are frozen; set budget.steps to 0")
    return [
        {"params": parameters, "factor": factor, "weight_decay": budget.weight_decay if decays else 0.0}
        for (factor, decays), parameters in groups.items()
    ]


def _factor(name: str, table: dict[str, float]) -> float:
    matching = [prefix for prefix in table if name.startswith(prefix)]
    return table[max(matching, key=len)] if matching else 1.0


def _check_prefixes(table: dict[str, float], named: dict[str, nn.Parameter], module: nn.Module) -> None:
    for prefix in table:
        if not any(name.startswith(prefix) for name in named):
            raise ValueError(
                f"budget: the prefix {prefix!r} (factors, freeze) matches no parameter; the top-level prefixes are: "
                f"{top_level(module)}"
            )


def training_mode(module: nn.Module, budget: Budget) -> None:
    """Switch to training, but leave wholly frozen parts in evaluation: no dropout, no moving statistics there."""
    module.train()
    for name, part in module.named_modules():
        if name and any(f"{name}.".startswith(prefix) for prefix in budget.freeze):
            active = any(parameter.requires_grad for parameter in part.parameters())
            if not active:
                part.eval()
