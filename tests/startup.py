"""A process of its own, which says what it has loaded."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAVY = {
    "PIL", "accelerate", "av", "datasets", "diffusers", "h5py", "huggingface_hub", "matplotlib", "openpyxl", "pandas",
    "pyarrow", "pydantic", "scipy", "skimage", "tensorboard", "tokenizers", "torch", "torchmetrics", "transformers",
}  # fmt: skip
"""Packages whose import costs a tenth of a CPU second or much more."""
SAY = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
SCORE = "import pickle, sys; from framecast.scoring import score; score(*pickle.load(sys.stdin.buffer))"


def heavy(code: str, given: bytes = b"") -> set[str]:
    """Heavy packages that a new Python has loaded once it has run `code`, with `given` on its standard input."""
    command = [sys.executable, "-c", f"{code}\n{SAY}"]
    done = subprocess.run(command, input=given, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def scored(spec: dict[str, Any], source: Path, stores: Any, split: str, folder: Path) -> set[str]:
    """What a score job loads; it writes `child.csv` and `child.json` into the folder."""
    arguments = (spec, source, stores, split, folder / "child.csv", folder / "child.json")
    return heavy(SCORE, pickle.dumps(arguments))
