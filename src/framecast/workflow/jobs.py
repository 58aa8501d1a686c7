"""The few lines between a rule and the library: parameters decoded, output logged, inputs grouped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framecast import SETTINGS
from framecast.core import costs, lifeline
from framecast.core.progress import logged
from framecast.workflow import forkserver

if TYPE_CHECKING:
    from framecast.stores import Stores


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (parameters, settings) of a rule's script while its output goes to the rule's log.

    What the job needs of the library is imported inside the block: it then may go on in a process of the run's fork
    server, which has loaded the large libraries, and what importing says goes to the log.

    Parameters that are JSON objects (`spec`, `source` …) arrive decoded. `snakemake` is the object that Snakemake
    puts into a script; only its plain attributes are used. The job ends when the Snakemake process above it does.
    """
    forkserver.hand_over()
    lifeline.follow()
    params = {name: _decoded(value) for name, value in snakemake.params.items()}
    settings = json.loads(os.environ.get(SETTINGS, "{}"))
    title = " ".join([snakemake.rule, *(str(value) for value in snakemake.wildcards)])
    with costs.recorded(snakemake.rule, title), logged(snakemake.log[0], title), _tables_kept(snakemake):
        yield params, settings


@contextlib.contextmanager
def _tables_kept(snakemake: Any) -> Iterator[None]:
    """Copy the tables (`.csv`) that a failing job has written to beside its log, and say so with the error.

    Snakemake deletes the outputs of a failed job, and with them, say, the reasons why no video of a folder is usable.
    """
    log = Path(snakemake.log[0])
    tables = [Path(path) for path in snakemake.output if str(path).endswith(".csv")]
    copies = {table: log.with_name(f"{log.stem}.{table.name}") for table in tables}
    for copy in copies.values():
        copy.unlink(missing_ok=True)
    try:
        yield
    except BaseException as error:
        for table, copy in copies.items():
            if table.is_file():
                shutil.copyfile(table, copy)
                error.add_note(f"a copy of {table.name}, which Snakemake deletes as the job failed: {copy}")
        raise


def stores(inputs: Any) -> Stores:
    """Group a run's inputs. `stores`: the samples table, then one path a bucket below `frames/{set}` and
    `embeddings/{encoder}`; `masks`, `labels`: one path a bucket; `prompts`: `{prompts}.h5`; `sources`:
    `{experiment}/seed_{seed}/predictions/{split}.h5`; `networks`: exported folders `encoders/{encoder}`."""
    from framecast.stores import Stores

    groups: dict[str, dict[str, list[Path]]] = {"frames": {}, "embeddings": {}}
    samples = Path(inputs.stores[0] if not isinstance(inputs.stores, str) else inputs.stores)
    for path in [] if isinstance(inputs.stores, str) else map(Path, inputs.stores[1:]):
        groups[path.parents[1].name].setdefault(path.parent.name, []).append(path)
    predictions: dict[str, dict[str, Path]] = {}
    for path in _paths(inputs.get("sources", [])):
        predictions.setdefault(path.parents[2].name, {})[path.stem] = path
    masks, labels = (_paths(inputs.get(name, [])) for name in ("masks", "labels"))
    exported = inputs.get("networks", None)
    networks = {} if exported is None else _networks(exported, groups["embeddings"])
    prompts = {path.stem: path for path in _paths(inputs.get("prompts", []))}
    return Stores(samples, groups["frames"], groups["embeddings"], masks, labels, predictions, networks, prompts)


def _networks(exported: Any, embeddings: dict[str, list[Path]]) -> dict[str, str]:
    """Encoder → folder of its network, or name on the hub: that, its embedding files say."""
    from framecast.stores.embeddings import EmbeddingFile

    names = {encoder: EmbeddingFile(paths[0]).encoder.get("hub") for encoder, paths in embeddings.items()}
    own = {path.name: str(path) for path in _paths(exported)}
    return {encoder: name for encoder, name in names.items() if name} | own


def _paths(names: Any) -> list[Path]:
    return [Path(name) for name in ([names] if isinstance(names, str) else names)]


def report_inputs(inputs: Any, params: dict[str, Any]) -> Any:
    """What the workbook and the page read, from a rule's inputs."""
    from framecast.analysis.answers import from_plan
    from framecast.analysis.summary import DataFiles, Gallery, ReportInputs

    data, units = {}, {}
    for index, rejected, splits in zip(inputs.index, inputs.rejected, inputs.splits, strict=True):
        name = Path(index).parent.name
        data[name] = DataFiles(Path(index), Path(rejected), Path(splits))
        units[name] = params["config"]["config"]["data"][name]["unit"]
    sheets = inputs.get("sheets", [])
    return ReportInputs(
        comparisons=[Path(path) for path in inputs.comparisons],
        scores=[Path(path) for path in inputs.scores],
        facts=_paths(inputs.get("facts", [])),
        runs=[Path(path).parent for path in inputs.runs],
        data=data,
        probes=[Path(path) for path in inputs.probes],
        galleries=[
            *(Gallery(path, f"Split {path.stem}", path.parent.name) for path in _paths(inputs.get("galleries", []))),
            *(Gallery(Path(path), f"Frames of {Path(path).parents[1].name}: {Path(path).stem}") for path in sheets),
        ],
        titles=params["titles"],
        tracks=from_plan(params["tracks"]),
        note=params.get("note", ""),
        units=units,
        config=json.dumps(params["config"]["config"], indent=1, ensure_ascii=False),
    )


def folder_of(paths: Any) -> Path | None:
    """The run folder of an optional list of a run's files: its record is the last, the weights may be another run's."""
    names = [paths] if isinstance(paths, str) else list(paths)
    return Path(names[-1]).parent if names else None


def by_split(paths: Any) -> dict[str, Path]:
    """Split → file of a list with one file a split."""
    return {path.stem: path for path in _paths(paths)}


def first(paths: Any) -> Path | None:
    """The first of an optional list of paths."""
    names = [paths] if isinstance(paths, str) else list(paths)
    return Path(names[0]) if names else None


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
