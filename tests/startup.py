"""A process of its own, which says what it has loaded."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from framecast.config.base import Settings
from framecast.core.files import read_json
from framecast.prediction import inference as prediction
from framecast.prediction import scoring

HEAVY = {
    "accelerate", "av", "datasets", "diffusers", "h5py", "matplotlib", "openpyxl", "pandas", "pyarrow", "pydantic",
    "scipy", "skimage", "tensorboard", "tokenizers", "torch", "torchmetrics", "transformers",
}  # fmt: skip
"""Packages whose import costs a tenth of a CPU second or much more; pydantic's, the making of the config's models."""
SAY = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def heavy(code: str, given: bytes = b"") -> set[str]:
    """Heavy packages that a new Python has loaded once it has run `code`, with `given` on its standard input."""
    command = [sys.executable, "-c", f"{code}\n{SAY}"]
    done = subprocess.run(command, input=given, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def called(function: Callable[..., None], *arguments: Any) -> set[str]:
    """Heavy packages that a new Python has loaded once it has called a function of the package."""
    code = f"from {function.__module__} import {function.__name__} as called; called(*pickle.load(sys.stdin.buffer))"
    return heavy(f"import pickle, sys; {code}", pickle.dumps(arguments))


def check_scores(scores: Path, predictions: Path, stores: Any, more: Set[str] = frozenset()) -> None:
    """Score predictions of split `test` again in a new Python: it loads nothing heavy but what scores of numbers need
    and `more`, and writes the same bytes as `scores`."""
    spec, again = read_json(scores.with_suffix(".json"))["provenance"]["spec"], scores.with_name("again.csv")
    found = called(scoring.score, spec, predictions, stores, "test", again, again.with_suffix(".json"))
    assert found <= {"h5py", "pandas", "pyarrow", "pydantic"} | more, f"scoring loads {sorted(found)}"
    assert again.read_bytes() == scores.read_bytes()


def check_predictions(run: Path, inference: dict[str, Any], stores: Any) -> None:
    """Predict split `test` with a run in a new Python: of the packages that bring networks it loads torch alone."""
    spec = {**read_json(run / "run.json")["spec"], "inference": inference}
    settings = Settings(device="cpu").model_dump(mode="json")
    found = called(prediction.predict, spec, run, stores, "test", run / "again.h5", settings)
    assert not found & {"accelerate", "diffusers", "scipy", "tokenizers", "transformers"}, sorted(found)
