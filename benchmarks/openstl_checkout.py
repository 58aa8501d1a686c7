"""OpenSTL's SimVP from a checkout, without what the rest of OpenSTL imports (timm, einops, lpips, Lightning …).

    git clone https://github.com/chengtan9907/OpenSTL /tmp/openstl

Only `openstl.models.simvp_model` and the modules below it run. Names that they import for other translators than gSTA
are stand-ins. Of timm, gSTA uses two things: `trunc_normal_`, which torch has under the same name,
and `DropPath`, for which ours stands.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from framecast.models.simvp import DropPath

TIMM = ("", ".layers", ".models", *(f".models.{name}" for name in (
    "_efficientnet_blocks", "convnext", "mlp_mixer", "swin_transformer", "vision_transformer")))  # fmt: skip


class Lazy(ModuleType):
    """A package whose names come from another module when they are asked for, or are stand-ins."""

    def __init__(self, name: str, source: str | None = None, path: Path | None = None, **known: Any) -> None:
        super().__init__(name)
        self.__path__ = [str(path)] if path else []
        self.__dict__.update(known, source=source)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        source = self.__dict__["source"]
        return getattr(__import__(source, fromlist=[name]), name) if source else nn.Identity


def there(checkout: Path) -> bool:
    """Whether this is a checkout of OpenSTL."""
    return (checkout / "openstl" / "models" / "simvp_model.py").is_file()


def provide(checkout: Path) -> None:
    """Make `openstl.models.simvp_model` importable; changes `sys.modules` alone."""
    for part in TIMM:
        sys.modules[f"timm{part}"] = Lazy(f"timm{part}", DropPath=DropPath, trunc_normal_=nn.init.trunc_normal_)
    folder = checkout / "openstl"
    sys.modules["openstl"] = Lazy("openstl", path=folder)
    sys.modules["openstl.models"] = Lazy("openstl.models", path=folder / "models")
    sys.modules["openstl.modules"] = Lazy("openstl.modules", "openstl.modules.simvp_modules", folder / "modules")
