"""SimVP of OpenSTL's own code in place of ours, for those who want to be sure: same config, same parameters, same task.

Source: github.com/chengtan9907/OpenSTL (Apache-2.0), `openstl.models.SimVP_Model`, which is imported when a network is
built and never before. It is an optional extra: it brings its own requirements (timm, lpips, Lightning …). Runs with it
take envs/openstl.yaml. Shapes are those of `framecast.models.simvp`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from torch import Tensor, nn

from framecast.core.validation import ConfigError
from framecast.models.simvp import Config, MaskPredictor, SimVP

__all__ = ["BackendMissing", "Config", "build"]

COMMIT = "c74deb5d4c3da585291f9f18281f3fefdbba3a54"
INSTALL = f"pip install git+https://github.com/chengtan9907/OpenSTL@{COMMIT}"


class BackendMissing(ConfigError, ImportError):
    """OpenSTL is not installed, not this OpenSTL, or not whole."""


class Backend(nn.Module):
    """The parts of OpenSTL's network with the readout apart, as `framecast.models.simvp.SimVP` has it.

    Args:
        theirs: A `SimVP_Model` of model_type gSTA.
        ahead: T', how many of the predicted frames are kept.
        classes: K, channels of a readout that takes the place of theirs.
    """

    def __init__(self, theirs: Any, ahead: int, classes: int) -> None:
        super().__init__()
        self.ahead = ahead
        self.enc, self.hid, self.dec = theirs.enc, theirs.hid, theirs.dec
        self.dec.readout = nn.Conv2d(self.dec.readout.in_channels, classes, 1)

    def features(self, frames: Tensor) -> Tensor:  # [B, T, C, H, W] -> [B, T', S, H, W]
        latent, skip = self.enc(frames.flatten(0, 1))  # [B·T, S, h, w], [B·T, S, H, W]
        latent = self.hid(latent.unflatten(0, frames.shape[:2]))[:, : self.ahead]
        skip = skip.unflatten(0, frames.shape[:2])[:, : self.ahead].flatten(0, 1)
        *layers, last = self.dec.dec
        x = latent.flatten(0, 1)
        for layer in layers:
            x = layer(x)
        return last(x + skip).unflatten(0, latent.shape[:2])

    def readout(self, features: Tensor) -> Tensor:  # [N, S, H, W] -> [N, K, H, W]
        return self.dec.readout(features)


def build(config: Config, classes: int, given: int, ahead: int, height: int, width: int) -> nn.Module:
    """See `framecast.models.simvp.build`.

    Raises:
        BackendMissing: OpenSTL cannot be imported; says why and how to install it.
        ValueError: see `framecast.models.simvp.SimVP.check_sizes`.
    """
    SimVP.check_sizes(config.n_s, given, ahead, height, width)
    theirs = _simvp_model()(
        (given, config.channels, height, width), hid_S=config.hid_s, hid_T=config.hid_t, N_S=config.n_s, N_T=config.n_t,
        model_type="gSTA", mlp_ratio=config.mlp_ratio, drop=config.drop, drop_path=config.drop_path,
        spatio_kernel_enc=config.kernel, spatio_kernel_dec=config.kernel,
    )  # fmt: skip
    return MaskPredictor(Backend(theirs, ahead, classes), classes, config.channels, ahead, config.residual)


def _simvp_model() -> Any:
    """OpenSTL's class.

    Raises:
        BackendMissing: see `build`.
    """
    try:
        return importlib.import_module("openstl.models.simvp_model").SimVP_Model
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit the torch there is
        raise BackendMissing(
            f"models.openstl_simvp: {_reason(error)}; install it with `{INSTALL}` where the jobs run (or take "
            "envs/openstl.yaml), or take the model simvp, which has the same parameters"
        ) from error


def _reason(error: Exception) -> str:
    if importlib.util.find_spec("openstl") is None:
        return "OpenSTL is not installed"
    if getattr(error, "name", None) in ("openstl.models", "openstl.models.simvp_model"):
        return (
            "the package openstl that is installed is another one (PyPI's `openstl` reads meshes; uninstall it first)"
        )
    return f"OpenSTL is there, but importing it failed: {error}"
