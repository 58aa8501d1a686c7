"""One optimiser step at a time: network, AdamW, moving average, and all of it as tensors that can be put away."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from framecast.config.base import Budget
from framecast.core.seeding import derive, torch_generator
from framecast.training.batches import Batch
from framecast.training.schedules import ema_decay, parameter_groups, rate, training_mode
from framecast.weights.state_dict import named


class Diverged(RuntimeError):
    """The loss or its gradient is no longer a number."""


class Objective(nn.Module):
    """The task's loss as a module's forward, so that accelerate (precision, several processes) sees every call."""

    def __init__(self, task: ModuleType, network: nn.Module) -> None:
        super().__init__()
        self.task, self.network = task, network

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        return self.task.loss(self.network, batch, generator, progress)


class Learner:
    """Everything that a training step changes."""

    def __init__(
        self, task: ModuleType, network: nn.Module, budget: Budget, peak: float, seed: int, accelerator: Accelerator
    ) -> None:
        """
        Args:
            network: On the CPU, with its starting weights; it is moved to the accelerator's device.
            peak: Highest learning rate.
        """
        self.budget, self.peak, self.seed, self.accelerator = budget, peak, seed, accelerator
        groups = parameter_groups(network, budget)
        self.network = _synchronised(network, accelerator).to(accelerator.device)
        self.trained = [parameter for group in groups for parameter in group["params"]]
        self.average = copy.deepcopy(self.network).requires_grad_(False) if budget.ema else None
        # One fused kernel instead of a loop over parameters; element by element, so as reproducible as that.
        fused = accelerator.device.type in ("cpu", "cuda")
        self.plain_optimizer = torch.optim.AdamW(groups, lr=peak, fused=fused)
        self.objective, self.optimizer = accelerator.prepare(Objective(task, self.network), self.plain_optimizer)
        self.pending: dict[str, list[Tensor]] = {}
        self.training()

    @property
    def evaluated(self) -> nn.Module:
        """The weights that are evaluated and saved."""
        return self.network if self.average is None else self.average

    def training(self) -> None:
        training_mode(self.network, self.budget)

    def rate(self, step: int) -> float:
        return rate(self.budget, self.peak, step)

    def step(self, step: int, batches: Iterator[Batch]) -> None:
        """Optimiser step `step` (0-based) on the next `accumulate` batches."""
        count = self.budget.accumulate
        for part in range(count):
            whole = part == count - 1
            with contextlib.nullcontext() if whole else self.accelerator.no_sync(self.objective):
                self._backward(step, part, next(batches))
        if self.budget.clip is not None:
            norm = self.accelerator.clip_grad_norm_(self.trained, self.budget.clip)
            self.pending.setdefault("gradient_norm", []).append(norm.detach())
        for group in self.plain_optimizer.param_groups:
            group["lr"] = self.rate(step) * group["factor"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self._update_average(ema_decay(self.budget, step))

    def _backward(self, step: int, part: int, batch: Batch) -> None:
        words = ("loss", step, part, self.accelerator.process_index)
        torch.manual_seed(derive(self.seed, "dropout", *words))
        generator = torch_generator(self.seed, *words, device=str(self.accelerator.device))
        parts = self.objective(batch, generator, step / self.budget.steps)
        self.accelerator.backward(parts["loss"] / self.budget.accumulate)
        for name, value in parts.items():
            values = self.pending.setdefault(name, [])
            share = value.detach().float() / self.budget.accumulate
            if part == 0:
                values.append(share)
            else:
                values[-1] = values[-1] + share

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        assert self.average is not None
        own, averaged = list(self.network.parameters()), list(self.average.parameters())
        get_ema_multi_avg_fn(decay)(averaged, own, None)
        for mine, theirs in zip(self.network.buffers(), self.average.buffers(), strict=True):
            theirs.copy_(mine)

    def logged(self, next_step: int) -> dict[str, float]:
        """Means of what was logged since the last call, over steps and processes.

        Raises:
            Diverged: names the first step whose loss was no number.
        """
        means = self.check(next_step)
        self.pending = {}
        return means

    def check(self, next_step: int) -> dict[str, float]:
        """As `logged`, but keeps what is pending."""
        means = {}
        for name, values in self.pending.items():
            shared: Any = self.accelerator.reduce(torch.stack(values), "mean")
            numbers = shared.double().tolist()
            # With fp16 a gradient overflows now and then: that step is left out and the scale lowered.
            if name == "gradient_norm" and self.budget.precision == "fp16":
                numbers = [value for value in numbers if math.isfinite(value)]
            bad = next((index for index, value in enumerate(numbers) if not math.isfinite(value)), None)
            if bad is not None and name in ("loss", "gradient_norm"):
                self.diverged(name, next_step - len(numbers) + bad, numbers[bad])
            if numbers:
                means[name] = math.fsum(numbers) / len(numbers)
        return means

    def diverged(self, name: str, step: int, value: float) -> NoReturn:
        """Stop, and say what to change."""
        budget = self.budget
        raise Diverged(
            f"{name} is {value} at step {step} of {budget.steps}, learning rate {self.rate(step):g} (highest "
            f"{self.peak:g}); lower budget.learning_rate (or the rates of its sweep), lower budget.clip (now "
            f"{budget.clip}), raise budget.warmup (now {budget.warmup:g})"
            + (f", or take precision float32 (now {budget.precision})" if budget.precision != "float32" else "")
            + ". Nothing was overwritten."
        )

    # --- state ---

    def tensors(self) -> dict[str, Tensor]:
        """All state as contiguous copies in main memory."""
        found = {f"network.{name}": tensor for name, tensor in named(self.network).items()}
        if self.average is not None:
            found |= {f"average.{name}": tensor for name, tensor in named(self.average).items()}
        for index, state in self.plain_optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        found |= {f"pending.{name}": torch.stack(values) for name, values in self.pending.items() if values}
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in found.items()}

    @torch.no_grad()
    def take(self, tensors: dict[str, Tensor], scaler: dict[str, Any] | None) -> None:
        """Go on from what `tensors()` and `scaler()` returned."""
        for place, module in (("network", self.network), ("average", self.average)):
            for name, own in named(module).items() if module is not None else ():
                own.copy_(tensors[f"{place}.{name}"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, _, key = rest.partition(".")
                state.setdefault(int(index), {})[key] = tensor
            elif kind == "pending":
                self.pending[rest] = list(tensor.to(self.accelerator.device).unbind())
        groups = self.plain_optimizer.state_dict()["param_groups"]
        self.plain_optimizer.load_state_dict({"state": state, "param_groups": groups})
        if scaler is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scaler)

    def scaler(self) -> dict[str, Any] | None:
        """State of the fp16 gradient scaler, if there is one."""
        return self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else None


def _synchronised(network: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Batch norms that see the batches of all processes; torch has them on CUDA alone."""
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network
