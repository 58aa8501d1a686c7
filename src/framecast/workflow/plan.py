"""From a config to what the Snakefile needs: active experiments with everything filled in, and code fingerprints.

`make` is called while parsing. It imports task and model modules to check their keys, but only when the config or the
code is new: the result is cached as JSON, and the parses inside jobs read it. The plan holds plain JSON values only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framecast.config.base import TEXT_KINDS, Config, Encoder, Experiment, Prompts
from framecast.core import components, contract
from framecast.core.files import canonical, digest, read_json, write_json
from framecast.core.needs import Needs
from framecast.core.validation import ConfigError, known, nearest, parse
from framecast.data.annotations.templates import TEMPLATES, bare, number_of
from framecast.metrics import METRICS
from framecast.weights import hub
from framecast.workflow.fingerprint import SOURCE, defines, fingerprint

# What a stage calls of the task and of the model, beside its own function.
STAGE_CODE: dict[str, tuple[list[str], list[str], list[str]]] = {
    "train": (
        ["training.loop:train"],
        ["dataset", "facts", "build", "fit", "adopt", "loss", "monitor", "summarise"],
        ["facts", "build"],
    ),
    "tune": (
        ["training.loop:tune"],
        ["dataset", "facts", "build", "fit", "adopt", "loss", "monitor", "summarise"],
        ["facts", "build"],
    ),
    "start": (["training.runs:start"], ["dataset", "facts", "build", "fit", "adopt"], ["facts", "build"]),
    "predict": (["prediction.inference:predict"], ["dataset", "build", "adopt", "predict"], ["build"]),
    "score": (["prediction.scoring:score"], ["dataset", "score"], []),
    "submit": (["prediction.submission:write"], ["dataset", "submit"], []),
    "gallery": (["prediction.gallery:draw"], ["dataset", "gallery"], []),
    "pictures": (["prediction.pictures:draw"], ["dataset", "pictures"], []),
}
DATA_CODE = {
    "generate": ["world.generation:generate"],
    "index": ["data.index:index_bucket", "data.index_worker:*"],
    "merge": ["data.index:merge"],
    "import_masks": ["data.mask_import:import_masks"],
    "extract": ["data.extraction:extract"],
    "annotations": ["data.annotation_files:write"],
    "probe": ["encoders.probing:probe"],
    "contact_sheet": ["data.contact_sheet:draw"],
    "compare": ["analysis.statistics:compare_files"],
    "summarize": ["analysis.workbook:write", "workflow.jobs:report_inputs"],
    "report": ["analysis.report.page:write", "workflow.jobs:report_inputs"],
}
FILES = {"report": "analysis/report"}
"""Folders of the package with files that a stage reads beside its code: templates, a style sheet, a script."""
READ = (".html", ".css", ".js")


def make(mapping: dict[str, Any], cache: Path) -> dict[str, Any]:
    """The plan of a config, from the cache where config and code are unchanged.

    Raises:
        ConfigError: the config cannot be run; the text says where and why.
    """
    _check_plain(mapping, "")
    path = cache / f"{digest(canonical(mapping), source_digest())[:24]}.json"
    with contextlib.suppress(FileNotFoundError, ValueError):  # one that a power cut emptied is made again
        return read_json(path)
    write_json(path, resolve(parse(Config, mapping)))
    return read_json(path)


def _check_plain(value: Any, where: str) -> None:
    """Refuse what YAML can say and JSON cannot: the plan, the parameters of jobs and the records are JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            place = f"{where}.{key}" if where else str(key)
            if not isinstance(key, str):
                raise ConfigError(f"{place}: the key is read as {type(key).__name__}, not as text; put it in quotes")
            _check_plain(item, place)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check_plain(item, f"{where}.{number}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {value} is no finite number; give a finite one")
    elif not isinstance(value, str | int | float | None):
        raise ConfigError(
            f"{where}: {str(value)!r} is read as {type(value).__name__}; "
            "a value is text, a number, true, false or null: put text in quotes"
        )


def source_digest() -> str:
    """Hash of every source file of the package."""
    return _files_digest(SOURCE / "framecast", (".py", *READ))


def _files_digest(folder: Path, suffixes: tuple[str, ...]) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in suffixes)
    return digest(*(part for file in files for part in (file.relative_to(SOURCE).as_posix(), file.read_bytes())))


def _code(stage: str) -> str:
    """Fingerprint of a stage that knows no task, with the files that it reads beside its code."""
    code = fingerprint([f"framecast.{entry}" for entry in DATA_CODE[stage]])
    return digest(code, _files_digest(SOURCE / "framecast" / FILES[stage], READ)) if stage in FILES else code


def resolve(config: Config) -> dict[str, Any]:
    """Check all references, add what the active entries need, fill in defaults, fingerprint the code."""
    _check_references(config)
    config = _of_tracks(config)
    active = _active(config)
    read = _read_by_others(config, active)
    experiments = {name: _experiment(config, name) | {"weights": _weights(config, name, read)} for name in active}
    encoders = _encoders_in_use(config, experiments)
    plan: dict[str, Any] = {
        "settings": config.settings.model_dump(mode="json"),
        "data": {name: _data(config, name) for name in sorted(_data_in_use(config, experiments))},
        "frame_sets": {name: value.model_dump(mode="json") for name, value in config.frame_sets.items()},
        "encoders": {name: _encoder(config, name) for name in sorted(encoders)},
        "prompts": {name: _prompts(config, name) for name in sorted(_prompts_in_use(experiments))},
        "experiments": experiments,
        "comparisons": {name: config.comparisons[name].model_dump(mode="json") for name in config.run.comparisons},
        "code": {stage: _code(stage) for stage in DATA_CODE},
        "caches": sorted({(experiment["spec"]["data"], name) for experiment in experiments.values()
                          for name in Needs.of(experiment).embeddings} | _asked_caches(config, experiments)),
        "note": config.run.note,
        "titles": {name: config.experiments[name].title or name for name in experiments},
        "tracks": _tracks(config, list(experiments)),
    }  # fmt: skip
    return plan


# --- references ------------------------------------------------------------------------------------------------------


def _check_references(config: Config) -> None:
    for name, task in config.tasks.items():
        if task.track is not None:
            known("track", task.track, config.tracks, f"tasks.{name}.track")
    for name, experiment in config.experiments.items():
        where = f"experiments.{name}"
        known("task", experiment.task, config.tasks, f"{where}.task")
        known("data", experiment.data, config.data, f"{where}.data")
        known("model", experiment.model, config.models, f"{where}.model")
        known("budget", experiment.budget, config.budgets, f"{where}.budget")
        if experiment.init and experiment.init.experiment:
            known("experiment", experiment.init.experiment, config.experiments, f"{where}.init.experiment")
            _check_seed(
                config, experiment.init.experiment, experiment.init.seed, experiment.seeds, f"{where}.init.seed"
            )
    for name, encoder in config.encoders.items():
        _check_encoder(config, encoder, f"encoders.{name}")
    for name, prompts in config.prompts.items():
        _check_prompts(config, prompts, f"prompts.{name}")
    for name in config.run.tracks or []:
        known("track", name, config.tracks, "run.tracks")
    for name in config.run.experiments:
        known("experiment", name, config.experiments, "run.experiments")
    for name in config.run.encoders:
        _check_frame_encoder(config, name, "run.encoders")
    for name in config.run.submissions:
        _check_submission(config, name)
    for name in config.run.pictures:
        _check_pictures(config, name)
    for name in config.run.comparisons:
        known("comparison", name, config.comparisons, "run.comparisons")
    for name in config.comparisons:
        _check_comparison(config, name)


def _check_seed(config: Config, parent: str, seed: int | None, own: list[int], where: str) -> None:
    there = config.experiments[parent].seeds
    missing = [value for value in ([seed] if seed is not None else own) if value not in there]
    if missing:
        raise ConfigError(f"{where}: experiment {parent!r} has no seed {missing[0]}; its seeds are {there}")


def _check_submission(config: Config, name: str) -> None:
    known("experiment", name, config.experiments, "run.submissions")
    data = config.experiments[name].data
    if not config.data[data].hidden:
        raise ConfigError(f"run.submissions: data.{data} of {name!r} names no `hidden` splits to predict")
    if contract.hook(_task(config, config.experiments[name])[0], "submit") is None:
        raise ConfigError(
            f"run.submissions: task {config.experiments[name].task!r} of {name!r} writes no submissions; name "
            "experiments whose task does (future_masks)"
        )


def _check_pictures(config: Config, name: str) -> None:
    known("experiment", name, config.experiments, "run.pictures")
    if contract.hook(_task(config, config.experiments[name])[0], "pictures") is None:
        raise ConfigError(
            f"run.pictures: task {config.experiments[name].task!r} of {name!r} draws no pictures; name experiments "
            "whose task does (pixels)"
        )


def _check_encoder(config: Config, encoder: Encoder, where: str) -> None:
    if encoder.frames is not None and encoder.view is not None:
        known("frame set", encoder.frames, config.frame_sets, f"{where}.frames")
        known("view", encoder.view, config.frame_sets[encoder.frames].views, f"{where}.view")
    kinds = [name for name in components.names("encoders") if defines(f"framecast.encoders.{name}", "load")]
    known("encoder kind", encoder.kind, kinds, f"{where}.kind")
    if encoder.experiment is not None:
        known("experiment", encoder.experiment, config.experiments, f"{where}.experiment")
        seed = encoder.seed if encoder.seed is not None else config.experiments[encoder.experiment].seeds[0]
        _check_seed(config, encoder.experiment, seed, [], f"{where}.seed")
        _check_exported(config, encoder.experiment, f"{where}.experiment")


def _check_frame_encoder(config: Config, name: str, where: str) -> None:
    known("encoder", name, config.encoders, where)
    if config.encoders[name].kind in TEXT_KINDS:
        raise ConfigError(
            f"{where}: encoder {name!r} of kind {config.encoders[name].kind!r} encodes texts, and frames are to be "
            "encoded; name it as `encoder` of an entry of `prompts`"
        )


def _check_prompts(config: Config, prompts: Prompts, where: str) -> None:
    known("encoder", prompts.encoder, config.encoders, f"{where}.encoder")
    kind = config.encoders[prompts.encoder].kind
    if kind not in TEXT_KINDS:
        raise ConfigError(
            f"{where}.encoder: {prompts.encoder!r} is of kind {kind!r}, which encodes frames; prompts need one of kind "
            f"{' or '.join(TEXT_KINDS)}"
        )
    if prompts.source is not None:
        name, seed = prompts.source.experiment, prompts.source.seed
        known("experiment", name, config.experiments, f"{where}.source.experiment")
        _check_seed(
            config, name, config.experiments[name].seeds[0] if seed is None else seed, [], f"{where}.source.seed"
        )
        known("task", config.experiments[name].task, config.tasks, f"experiments.{name}.task")
        task = config.tasks[config.experiments[name].task].name
        if task != "progress":
            raise ConfigError(
                f"{where}.source.experiment: {name!r} is of task {task!r}, which predicts no progress; name an "
                "experiment of task 'progress' that predicts at the frames `at`"
            )


def _check_comparison(config: Config, name: str) -> None:
    comparison, where = config.comparisons[name], f"comparisons.{name}"
    for place, experiment in [
        ("baseline", comparison.baseline),
        *(("treatments", one) for one in comparison.treatments),
    ]:
        known("experiment", experiment, config.experiments, f"{where}.{place}")
    baseline = config.experiments[comparison.baseline]
    data = config.data[baseline.data]
    for treatment in comparison.treatments:
        other = config.experiments[treatment]
        if treatment == comparison.baseline:
            raise ConfigError(f"{where}.treatments: {treatment!r} is the baseline itself")
        if other.data != baseline.data or _samples(config, other) != _samples(config, baseline):
            raise ConfigError(
                f"{where}: {treatment!r} (task {other.task}, data {other.data}) and {comparison.baseline!r} (task "
                f"{baseline.task}, data {baseline.data}) have no samples in common; compare within one task and data, "
                "or tasks that score the same samples"
            )
    for ceiling in comparison.ceilings:
        known("experiment", ceiling, config.experiments, f"{where}.ceilings")
    for metric in comparison.metrics:
        known("metric", metric, METRICS, f"{where}.metrics")
    for key in ("treatments", "splits", "metrics"):
        names = getattr(comparison, key)
        if len(set(names)) < len(names):
            raise ConfigError(f"{where}.{key}: {names} names something twice")
    for split in comparison.splits:
        if split == "train":
            raise ConfigError(f"{where}.splits: the models have seen split 'train'; compare on one of {data.evaluate}")
        if split == data.select:
            raise ConfigError(
                f"{where}.splits: split {split!r} served for selection (data.{baseline.data}.select), so a test on it "
                f"proves nothing; compare on one of {data.evaluate}"
            )
        known("evaluated split", split, data.evaluate, f"{where}.splits")


# --- what is active --------------------------------------------------------------------------------------------------


def _of_tracks(config: Config) -> Config:
    """The config with the lists of `run` cut down to what belongs to `run.tracks`, where that is given."""
    run, tracks = config.run, config.run.tracks
    if tracks is None:
        return config
    lists = {
        "experiments": [name for name in run.experiments if _track(config, name) in tracks],
        "submissions": [name for name in run.submissions if _track(config, name) in tracks],
        "comparisons": [
            name for name in run.comparisons if _track(config, config.comparisons[name].baseline) in tracks
        ],
    }
    if not any(lists.values()):
        raise ConfigError(
            f"run.tracks: nothing that `run` lists belongs to {tracks}; name it in run.experiments or run.comparisons, "
            "and give its tasks this `track`"
        )
    return config.model_copy(update={"run": run.model_copy(update=lists)})


def _track(config: Config, experiment: str) -> str | None:
    return config.tasks[config.experiments[experiment].task].track


def _tracks(config: Config, experiments: list[str]) -> dict[str, dict[str, Any]]:
    """Track → title, active experiments and active comparisons of it, for tracks with any, in the config's order."""
    members = {track: [name for name in experiments if _track(config, name) == track] for track in config.tracks}
    return {
        track: {
            "title": config.tracks[track].title,
            "experiments": names,
            "comparisons": [name for name in config.run.comparisons if config.comparisons[name].baseline in names],
        }
        for track, names in members.items()
        if names
    }


def _active(config: Config) -> list[str]:
    """Active experiments and all they need, in an order in which parents come first."""
    wanted = [*config.run.experiments, *config.run.submissions]
    for name in config.run.comparisons:
        wanted += [config.comparisons[name].baseline, *config.comparisons[name].treatments]
    for encoder in config.run.encoders:
        wanted += [parent for parent in [config.encoders[encoder].experiment] if parent]
    done: dict[str, None] = {}
    for name in wanted:
        _visit(config, name, [], done)
    return list(done)


def _visit(config: Config, name: str, path: list[str], done: dict[str, None]) -> None:
    if name in path:
        raise ConfigError(
            f"experiments refer to each other in a circle: {' → '.join([*path[path.index(name) :], name])}"
        )
    if name in done:
        return
    for parent in _parents(config, config.experiments[name]):
        _visit(config, parent, [*path, name], done)
    done[name] = None


def _read_by_others(config: Config, active: list[str]) -> set[str]:
    """Active experiments whose weights or predictions other jobs than their own read."""
    exported = {config.encoders[encoder].experiment for encoder in config.run.encoders}
    parents = {parent for name in active for parent in _parents(config, config.experiments[name])}
    return parents | {name for name in exported if name}


def _weights(config: Config, name: str, read: set[str]) -> str:
    """Where the weights of an experiment come from.

    `train`: from the rule of that name. What trains has it, and so has what others read: a new inference or a new
    evaluated split must not make again what depends on the weights alone. `predict`: nothing trains, so the job that
    predicts builds the network and keeps it. `parent`: the experiment differs from its parent in inference alone (and
    in what is predicted), so it takes the parent's file.
    """
    experiment = config.experiments[name]
    if _budget(config, experiment.budget)["steps"] or name in read:
        return "train"
    init = experiment.init
    if init is None or init.experiment is None or init.fresh:
        return "predict"
    parent = config.experiments[init.experiment]
    same_task = config.tasks[experiment.task].name == config.tasks[parent.task].name
    return "parent" if same_task and experiment.model == parent.model else "predict"


def _parents(config: Config, experiment: Experiment) -> Iterator[str]:
    if experiment.init and experiment.init.experiment:
        yield experiment.init.experiment
    needs = _needs(config, experiment)
    for encoder in needs.embeddings:
        known("encoder", encoder, config.encoders, f"tasks.{experiment.task}")
        if config.encoders[encoder].experiment:
            yield str(config.encoders[encoder].experiment)
    for name in needs.prompts:
        known("prompts", name, config.prompts, f"tasks.{experiment.task}.prompts")
        yield from _prompt_parents(config, config.prompts[name])
    yield from _exports(config, experiment)
    for source in needs.sources:
        known("experiment", source.experiment, config.experiments, f"tasks.{experiment.task}.source.experiment")
        yield source.experiment


def _prompt_parents(config: Config, prompts: Prompts) -> Iterator[str]:
    encoder = config.encoders[prompts.encoder]
    if encoder.experiment:
        yield encoder.experiment
    if prompts.source:
        yield prompts.source.experiment


def _exports(config: Config, experiment: Experiment) -> list[str]:
    """Experiments whose exported networks the task or the model takes, after checking that they can be exported."""
    part = config.models[experiment.model]
    model = _module("models", part.name, f"models.{experiment.model}.name")
    own = _component(model.Config, part.model_dump(), f"models.{experiment.model}")
    keys = {f"tasks.{experiment.task}": _task(config, experiment)[1], f"models.{experiment.model}": own}
    found = {place: name for where, value in keys.items() for place, name in hub.experiments(value, where).items()}
    for place, name in found.items():
        known("experiment", name, config.experiments, place)
        _check_exported(config, name, place)
    return sorted(set(found.values()))


def _check_exported(config: Config, name: str, where: str) -> None:
    known("task", config.experiments[name].task, config.tasks, f"experiments.{name}.task")
    task = config.tasks[config.experiments[name].task].name
    if not defines(f"framecast.tasks.{task}", "EXPORT"):
        exported = [one for one in components.names("tasks") if defines(f"framecast.tasks.{one}", "EXPORT")]
        raise ConfigError(
            f"{where}: {name!r} is of task {task!r}, whose networks are not exported; name an experiment of one of the "
            f"tasks {', '.join(exported)}"
        )


def _needs(config: Config, experiment: Experiment) -> Needs:
    """What the experiment's task says that it needs."""
    task, keys = _task(config, experiment)
    found = task.needs(keys)
    if not isinstance(found, Needs):
        raise ConfigError(
            f"tasks/{keys['name']}.py: needs returned a {type(found).__name__}; return a framecast.core.needs.Needs"
        )
    return found


def _samples(config: Config, experiment: Experiment) -> str:
    """What a scored sample of the experiment is; experiments with equal answers may be compared."""
    task, keys = _task(config, experiment)
    return _told(task, "samples", keys) or experiment.task


def _told(task: Any, name: str, keys: dict[str, Any]) -> str | None:
    """What an optional hook of a task says of its keys; None where the task has none."""
    hook = contract.hook(task, name)
    return hook(keys) if hook else None


def _task(config: Config, experiment: Experiment) -> tuple[Any, dict[str, Any]]:
    """The task's module and its keys."""
    part = config.tasks[experiment.task]
    task = _module("tasks", part.name, f"tasks.{experiment.task}.name")
    return task, _component(task.Config, part.model_dump(), f"tasks.{experiment.task}")


def _module(kind: components.Kind, name: str, where: str) -> Any:
    known(kind.removesuffix("s"), name, components.names(kind), where)
    return components.load(kind, name)


def _component(model: Any, mapping: dict[str, Any], where: str) -> dict[str, Any]:
    """A task's or model's keys with defaults filled in; the module's name is put back in front."""
    keys = {key: value for key, value in mapping.items() if key != "name"}
    return {"name": mapping["name"], **parse(model, keys, where).model_dump(mode="json")}


def _encoders_in_use(config: Config, experiments: dict[str, Any]) -> set[str]:
    used = {name for experiment in experiments.values() for name in Needs.of(experiment).embeddings}
    texts = {config.prompts[name].encoder for name in _prompts_in_use(experiments)}
    return used | texts | set(config.run.encoders)


def _prompts_in_use(experiments: dict[str, Any]) -> set[str]:
    return {name for experiment in experiments.values() for name in Needs.of(experiment).prompts}


def _data_in_use(config: Config, experiments: dict[str, Any]) -> set[str]:
    return {experiment["spec"]["data"] for experiment in experiments.values()}


def _asked_caches(config: Config, experiments: dict[str, Any]) -> set[tuple[str, str]]:
    return {(data, encoder) for encoder in config.run.encoders for data in _data_in_use(config, experiments)}


# --- resolved parts --------------------------------------------------------------------------------------------------


def _data(config: Config, name: str) -> dict[str, Any]:
    data = config.data[name].model_dump(mode="json")
    if data["source"].get("tasks") is not None:
        wanted = data["source"]["tasks"]
        data["source"]["tasks"] = task_list(config, wanted, f"data.{name}.source.tasks")
        _check_tasks(data, f"data.{name}")
    grouped = data["source"]["kind"] == "world" or data["source"].get("group") is not None
    data["unit"] = data["unit"] or ("group" if grouped else "video")
    if config.light:
        data["limit"] = config.light.videos
        if data["source"]["kind"] == "world":
            data["source"]["videos"] = min(data["source"]["videos"], config.light.videos)
    reader = f"framecast.data.annotations.{data['source']['kind']}"
    code = [f"{reader}:{function}" for function in ("read", "problems") if defines(reader, function)]
    return {**data, "code": fingerprint(["framecast.data.splits:assign", *code])}


def task_list(config: Config, name: str, where: str) -> dict[str, list[int]]:
    """A list of tasks with its templates as their numbers.

    Args:
        where: Place of the reference to it, for errors.

    Raises:
        ConfigError: there is no such list, or it has a template that is unknown or stands twice.
    """
    known("task list", name, config.task_lists, where)
    tasks = {task: sorted(_template(text, f"task_lists.{name}.{task}") for text in texts)
             for task, texts in config.task_lists[name].items()}  # fmt: skip
    numbers = [number for listed in tasks.values() for number in listed]
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise ConfigError(f"task_lists.{name}: {TEMPLATES[twice[0]]!r} stands more than once; keep one")
    return tasks


def _template(text: str, where: str) -> int:
    number = number_of(text)
    if number is None:
        near = nearest(bare(text), [bare(template) for template in TEMPLATES])
        raise ConfigError(
            f"{where}: {text!r} is none of the 174 templates of Something-Something V2{near}; they stand in "
            "src/framecast/data/annotations/templates.py and in the set's labels.json"
        )
    return number


def _check_tasks(data: dict[str, Any], where: str) -> None:
    """Every task that a data entry names is in its task list."""
    named = {f"annotation_files.{name}.tasks": file["tasks"] or [] for name, file in data["annotation_files"].items()}
    for split, parts in data["by_task"].items():
        named |= {f"by_task.{split}.{name}": tasks for name, tasks in parts.items()}
    for place, tasks in named.items():
        for task in tasks:
            known("task", task, data["source"]["tasks"], f"{where}.{place}")


def _encoder(config: Config, name: str) -> dict[str, Any]:
    encoder = config.encoders[name].model_dump(mode="json")
    if encoder["experiment"] and encoder["seed"] is None:
        encoder["seed"] = config.experiments[encoder["experiment"]].seeds[0]
    own = "framecast.encoders.prompts:embed" if encoder["kind"] in TEXT_KINDS else "framecast.encoders.encoding:encode"
    return {**encoder, "code": fingerprint([own, f"framecast.encoders.{encoder['kind']}:*"])}


def _prompts(config: Config, name: str) -> dict[str, Any]:
    prompts = config.prompts[name].model_dump(mode="json")
    if prompts["source"] and prompts["source"]["seed"] is None:
        prompts["source"]["seed"] = config.experiments[prompts["source"]["experiment"]].seeds[0]
    return prompts


def _experiment(config: Config, name: str) -> dict[str, Any]:
    """One experiment with its train spec (what makes its weights), inference, needs and fingerprints."""
    experiment = config.experiments[name]
    task_part, model_part = config.tasks[experiment.task], config.models[experiment.model]
    task = _module("tasks", task_part.name, f"tasks.{experiment.task}.name")
    model = _module("models", model_part.name, f"models.{experiment.model}.name")
    codes = {stage: _stage_code(stage, task_part.name, model_part.name) for stage in STAGE_CODE}
    codes["export"] = _export_code(task_part.name)
    inference = parse(task.Inference, experiment.inference, f"experiments.{name}.inference").model_dump(mode="json")
    spec = {
        "experiment": name,
        "task": hub.exported(_component(task.Config, task_part.model_dump(), f"tasks.{experiment.task}")),
        "model": hub.exported(_component(model.Config, model_part.model_dump(), f"models.{experiment.model}")),
        "budget": _budget(config, experiment.budget),
        "init": experiment.init.model_dump(mode="json") if experiment.init else None,
        "data": experiment.data,
        "select": config.data[experiment.data].select,
    }
    needs = dataclasses.replace(_needs(config, experiment), pretrained=tuple(_exports(config, experiment)))
    _check_needs(config, needs, f"tasks.{experiment.task}")
    _check_sources(config, name, needs)
    _check_prompt_data(config, name, needs)
    if samples := _told(task, "samples", spec["task"]):
        spec["samples"] = samples
    return {
        "spec": spec,
        "seeds": experiment.seeds,
        "inference": inference,
        "needs": needs.to_json(),
        "code": codes,
        "evaluate": config.data[experiment.data].evaluate,
        "hidden": config.data[experiment.data].hidden if name in config.run.submissions else [],
        "pictures": name in config.run.pictures,
        "gallery": contract.hook(task, "gallery") is not None,
    }


def _check_needs(config: Config, needs: Needs, where: str) -> None:
    for name in needs.embeddings:
        _check_frame_encoder(config, name, f"{where}.encoder")
    for name in needs.networks:
        known("encoder of the task", name, needs.embeddings, f"{where}.encoder")
    for frame_set, view in needs.frames:
        known("frame set", frame_set, config.frame_sets, f"{where}.frames")
        known("view", view, config.frame_sets[frame_set].views, f"{where}.view")


def _check_prompt_data(config: Config, name: str, needs: Needs) -> None:
    """Prompts with estimates belong to the data of the experiment that estimates; all count the same frames."""
    data = config.experiments[name].data
    for prompts in needs.prompts:
        source = config.prompts[prompts].source
        if source and config.experiments[source.experiment].data != data:
            raise ConfigError(
                f"prompts.{prompts}.source: {source.experiment!r} is on data "
                f"{config.experiments[source.experiment].data!r}, {name!r} on {data!r}; progress is estimated for the "
                "same videos"
            )
        frame_sets = [frame_set for frame_set, _ in needs.frames]
        if source:
            parent = config.experiments[source.experiment]
            frame_sets += [frame_set for frame_set, _ in _needs(config, parent).frames]
        _check_every_frame(config, frame_sets, f"prompts.{prompts}")


def _check_every_frame(config: Config, frame_sets: list[str], where: str) -> None:
    """Prompts count the frames of the file, so frame 20 must be the same frame in every frame set beside them."""
    for name in frame_sets:
        if (fps := config.frame_sets[name].fps) is not None:
            raise ConfigError(
                f"frame_sets.{name}.fps is {fps:g}, and {where} counts the frames of the file: its frames `at`, and "
                "the progress there, would be others; set fps: null, or name a frame set that keeps every frame"
            )


def _check_sources(config: Config, name: str, needs: Needs) -> None:
    """Other experiments whose predictions are read: their seeds, data and splits."""
    experiment = config.experiments[name]
    where = f"tasks.{experiment.task}"
    for source in needs.sources:
        parent = config.experiments[source.experiment]
        _check_seed(config, source.experiment, source.seed, experiment.seeds, f"{where}.source.seed")
        if parent.data != experiment.data:
            raise ConfigError(
                f"{where}.source: {source.experiment!r} is on data {parent.data!r}, {name!r} on "
                f"{experiment.data!r}; labels are read for the same videos"
            )
        _check_unlabeled(config, experiment, source.train, f"{where}.unlabeled")
        _check_labels(config, experiment, parent, f"{where}.source")


def _check_unlabeled(config: Config, experiment: Experiment, splits: tuple[str, ...], where: str) -> None:
    """Splits that are added to training must not serve for anything else: their frames hold what is to be predicted."""
    data = config.data[experiment.data]
    held = {"train", data.select, *data.evaluate, *data.hidden}
    free = [split for split in data.split_names() if split not in held]
    for split in splits:
        known("split", split, data.split_names(), where)
        if split not in free:
            raise ConfigError(
                f"{where}: split {split!r} trains, selects, is scored or is handed in, so its masks may not be learned "
                f"from; splits of data.{experiment.data} that serve for nothing else: {free}"
            )
    if len(set(splits)) < len(splits):
        raise ConfigError(f"{where}: {list(splits)} names a split twice")


def _check_labels(config: Config, experiment: Experiment, parent: Experiment, where: str) -> None:
    """What a task reads as labels must be what the source predicts: the tasks say so by equal `labels`."""
    wanted, found = (_told(task, "labels", keys) for task, keys in (_task(config, experiment), _task(config, parent)))
    if found != wanted:
        raise ConfigError(
            f"{where}: task {parent.task!r} of the source predicts {found or 'no labels'}; needed are {wanted}"
        )


def _budget(config: Config, name: str) -> dict[str, Any]:
    budget = config.budgets[name].model_dump(mode="json")
    if config.light:
        budget["steps"] = min(budget["steps"], config.light.steps)
        if budget["sweep"]:
            budget["sweep"]["steps"] = min(budget["sweep"]["steps"], config.light.steps)
    return budget


def _export_code(task: str) -> str:
    """Of exporting runs of a task; where it has no export, of none."""
    module = contract.hook(components.load_task(task), "EXPORT")
    own = [f"framecast.prediction.export.{module}:write"] if module else []
    return fingerprint(["framecast.prediction.export:export", *own])


def _stage_code(stage: str, task: str, model: str) -> str:
    own, of_task, of_model = STAGE_CODE[stage]
    entries = [f"framecast.{entry}" for entry in own]
    entries += [f"framecast.tasks.{task}:{name}" for name in of_task if defines(f"framecast.tasks.{task}", name)]
    entries += [f"framecast.models.{model}:{name}" for name in of_model if defines(f"framecast.models.{model}", name)]
    return fingerprint(entries)
