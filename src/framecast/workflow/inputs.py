"""What the rules ask while Snakemake builds its graph: input paths, parameters and resources, all from the plan.

No wildcard is ever taken apart: experiment keys and the like are opaque and are looked up whole. Every answer is a
plain string, number or list in a fixed order, because Snakemake compares parameters with those of the last run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from framecast import SETTINGS
from framecast.config import loading
from framecast.config.split_rules import split_names
from framecast.core.files import canonical, read_json
from framecast.core.needs import Needs
from framecast.core.validation import ConfigError, nearest
from framecast.weights import hub
from framecast.workflow import catalogue, forkserver, outlook, plan
from framecast.workflow.fingerprint import SOURCE
from framecast.workflow.outlook import Work

ENVS = {"openstl_simvp": "openstl"}
"""Model → environment file, where its network needs more than envs/torch.yaml has."""
MAKES_WEIGHTS = ("train", "tune", "start")
"""Stages that read what weights are made from."""


class Flow:
    """Answers for the rules. `w` is Snakemake's wildcards object."""

    def __init__(self, plan: dict[str, Any], shards: dict[str, dict[int, str]], results: Path):
        self.plan = plan
        self.shards = shards
        self.results = results

    def code(self, stage: str) -> str:
        """Fingerprint of a stage that knows no task."""
        return self.plan["code"][stage]

    def gpus(self) -> int:
        """GPUs a network job asks for: one where the settings and the machine allow it."""
        device = self.plan["settings"]["device"]
        return int(device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") is not None))

    # --- data ---

    def data(self, name: str) -> dict[str, Any]:
        return self._look("data", name)

    def buckets(self, data: str) -> list[int]:
        self.data(data)
        return sorted(self.shards[data])

    def listing(self, w: Any) -> str:
        folder = self.results / ".framecast" / "listing" / w.data
        return str(catalogue.shard_file(folder, int(w.bucket), self.listing_digest(w)))

    def listing_digest(self, w: Any) -> str:
        self.data(w.data)
        return self.shards[w.data][int(w.bucket)]

    def world(self, w: Any) -> str:
        """Parameters of the embedded world that shape each video; the number of videos does not."""
        source = self.data(w.data)["source"]
        return canonical({key: value for key, value in source.items() if key not in ("videos", "tasks")})

    def is_world(self, data: str) -> bool:
        return self.data(data)["source"]["kind"] == "world"

    def video_folder(self, w: Any) -> str:
        """Where a shard's videos lie."""
        if self.is_world(w.data):
            return str(self.results / "data" / w.data / "videos" / f"bucket_{w.bucket}")
        return os.path.expanduser(self.data(w.data)["source"]["path"])

    def made_videos(self, w: Any) -> list[str]:
        """The folder of made videos as an input; a user's own folder is none: its listing stands for it."""
        return [self.video_folder(w)] if self.is_world(w.data) else []

    def folder_rules(self, w: Any) -> str:
        """What each folder of pictures must hold; no keys where videos are files."""
        source = self.data(w.data)["source"]
        keys = ("frames", "labelled", "classes", "fps") if source["kind"] == "frame_folders" else ()
        return canonical({key: source[key] for key in keys})

    def timeout(self, w: Any) -> float:
        return self.data(w.data)["source"].get("timeout", 300.0)

    def parts(self, w: Any) -> list[str]:
        return self._each_bucket(w.data, "index", "bucket_{}.parquet")

    def labels(self, w: Any) -> list[str]:
        return self.label_folders(w.data)

    def label_folders(self, data: str) -> list[str]:
        """Where the labels of videos and frames lie, one folder a bucket; none where the source is no made world."""
        return self._each_bucket(data, "videos", "bucket_{}") if self.is_world(data) else []

    def mask_files(self, data: str) -> list[str]:
        """Where the class masks lie, one path a bucket: the world's folders (masks.h5 in each) or the imported files.

        Empty where the source has none.
        """
        source = self.data(data)["source"]
        if source["kind"] == "world":
            return self._each_bucket(data, "videos", "bucket_{}")
        return self._each_bucket(data, "masks", "bucket_{}.h5") if source.get("labelled") else []

    def annotation(self, w: Any) -> str:
        """What decides splits, units and labels of a data set."""
        data = self.data(w.data)
        source = {key: value for key, value in data["source"].items() if key not in ("timeout", "suffixes", "videos")}
        keys = ("buckets", "splits", "by_task", "unit", "code")
        return canonical({"source": source, **{key: data[key] for key in keys}})

    def split_lists(self, w: Any) -> list[str]:
        """Files that say which split or text a video has."""
        data = self.data(w.data)
        if data["source"]["kind"] != "ssv2":
            return sorted(data["splits"].get("files", {}).values())
        names = [data["source"][name] for name in ("labels", "train", "validation", "test")]
        return sorted(os.path.expanduser(name) for name in names if name)

    def annotation_files(self, w: Any) -> str:
        """File name → split and tasks of what is written; without any in the config, one a split."""
        data = self.data(w.data)
        names = split_names(data["splits"], data["by_task"])
        each = {split: {"split": split, "tasks": None} for split in names}
        return canonical(data["annotation_files"] or each)

    def annotations(self) -> list[str]:
        """Folders of annotation files, for data that has a task list."""
        return [
            str(self.results / "data" / name / "annotations")
            for name, data in sorted(self.plan["data"].items())
            if data["source"].get("tasks")
        ]

    def frame_set(self, w: Any) -> str:
        return canonical(self._look("frame_sets", w.frame_set))

    # --- embeddings ---

    def encoder(self, w: Any) -> str:
        return canonical(self._look("encoders", w.encoder))

    def encoder_frames(self, w: Any) -> str:
        frame_set = self._look("encoders", w.encoder)["frames"]
        return str(self.results / "data" / w.data / "frames" / frame_set / f"bucket_{w.bucket}")

    def encoder_weights(self, w: Any) -> list[str]:
        """Weights that are files here: an export of ours, or a local folder in the hub's format."""
        encoder = self._look("encoders", w.encoder)
        if encoder["experiment"]:
            return [str(self.results / "encoders" / w.encoder)]
        return [encoder["hub"]] if Path(encoder["hub"]).is_dir() else []

    def exported_run(self, w: Any) -> list[str]:
        encoder = self._look("encoders", w.encoder)
        return self._run_files(encoder["experiment"], encoder["seed"])

    def encoder_code(self, w: Any) -> str:
        """Fingerprint of the export of an encoder's run."""
        return self.plan["experiments"][self._look("encoders", w.encoder)["experiment"]]["code"]["export"]

    # --- exports ---

    def first_run(self, w: Any) -> list[str]:
        return self._run_files(w.experiment, self.experiment(w)["seeds"][0])

    def export_code(self, w: Any) -> str:
        return self.experiment(w)["code"]["export"]

    def export_parts(self, w: Any) -> str:
        """Encoder → (folder or hub name, revision) of the frozen networks that an experiment's export takes along."""
        return canonical({name: [self._weights(name), self._look("encoders", name)["revision"]]
                          for name in self._frozen(w)})  # fmt: skip

    def export_folders(self, w: Any) -> list[str]:
        """Those of them that are folders on this machine."""
        return [path for name in self._frozen(w) for path in self.encoder_weights(SimpleNamespace(encoder=name))]

    def _frozen(self, w: Any) -> list[str]:
        """Encoders of a run, of its prompts, and those that it decodes with."""
        needs = self.needs(w)
        texts = {self._look("prompts", name)["encoder"] for name in needs.prompts}
        return sorted({*needs.embeddings, *needs.networks, *texts})

    def _weights(self, encoder: str) -> str:
        """Folder or hub name of an encoder's weights."""
        return next(
            iter(self.encoder_weights(SimpleNamespace(encoder=encoder))), self._look("encoders", encoder)["hub"]
        )

    # --- prompts ---

    def prompt_config(self, w: Any) -> str:
        """What the prompts of a data set depend on beside its texts and the encoder."""
        return canonical({**self._look("prompts", w.prompts), "splits": self._used_splits(w.data)})

    def prompt_encoder(self, w: Any) -> str:
        return canonical(self._look("encoders", self._look("prompts", w.prompts)["encoder"]))

    def prompt_weights(self, w: Any) -> list[str]:
        return self.encoder_weights(SimpleNamespace(encoder=self._look("prompts", w.prompts)["encoder"]))

    def prompt_sources(self, w: Any) -> list[str]:
        """Predictions of progress that are written into prompts."""
        source = self._look("prompts", w.prompts)["source"]
        if source is None:
            return []
        folder = self._run(source["experiment"]) / f"seed_{source['seed']}" / "predictions"
        return [str(folder / f"{split}.h5") for split in self._used_splits(w.data)]

    def prompts(self, w: Any) -> list[str]:
        """Prompt files that a run reads."""
        folder = self.results / "data" / self.experiment(w)["spec"]["data"] / "prompts"
        return [str(folder / f"{name}.h5") for name in sorted(self.needs(w).prompts)]

    def _used_splits(self, name: str) -> list[str]:
        data = self.data(name)
        return list(dict.fromkeys(["train", data["select"], *data["evaluate"]]))

    # --- caches ---

    def caches(self, w: Any) -> list[str]:
        return self._each_bucket(w.data, f"embeddings/{w.encoder}", "bucket_{}.h5")

    def all_caches(self) -> list[str]:
        """Every embedding cache that is active; those of `run.encoders` may serve no experiment."""
        return [
            path
            for data, encoder in self.plan["caches"]
            for path in self._each_bucket(data, f"embeddings/{encoder}", "bucket_{}.h5")
        ]

    def probes(self) -> list[str]:
        """Probes of embeddings; latents, and caches of single frames, are not probed."""
        return [
            str(self.results / "data" / data / "probes" / f"{encoder}.json")
            for data, encoder in self.plan["caches"]
            if self.is_world(data) and self._probed(self.plan["encoders"][encoder])
        ]

    @staticmethod
    def _probed(encoder: dict[str, Any]) -> bool:
        return encoder["at"] is None and encoder["kind"] != "vae"

    # --- runs ---

    def experiment(self, w: Any) -> dict[str, Any]:
        return self._look("experiments", w.experiment)

    def needs(self, w: Any) -> Needs:
        return Needs.of(self.experiment(w))

    def spec(self, w: Any, stage: str) -> str:
        """All that makes a run's weights (`train`; `start` where nothing trains), the search before it (`tune`),
        predictions, scores, pictures or a submission."""
        experiment = self.experiment(w)
        spec = {**experiment["spec"], "fingerprint": experiment["code"][stage]}
        if stage in MAKES_WEIGHTS:
            return canonical({**spec, "seed": experiment["seeds"][0] if stage == "tune" else int(w.seed)})
        kept = {key: spec[key] for key in ("experiment", "task", "model", "data", "fingerprint")}
        inference = {"inference": experiment["inference"]} if stage == "predict" else {}
        return canonical({**kept, **inference, "seed": int(w.seed)})

    def env(self, w: Any) -> str:
        """Environment file of the jobs that build a run's network, seen from workflow/rules."""
        name = ENVS.get(self.experiment(w)["spec"]["model"]["name"], "torch")
        return f"../../envs/{name}.yaml"

    def run_inputs(self, w: Any, stage: str) -> dict[str, list[str]]:
        """What a stage of a run reads of its data, of networks and of other runs; to predict, the run besides."""
        read = {"stores": self.stores(w), "masks": self.masks(w), "labels": self.frame_labels(w),
                "prompts": self.prompts(w), "pretrained": self.pretrained(w), "networks": self.networks(w),
                "sources": self.sources(w, stage)}  # fmt: skip
        if stage in MAKES_WEIGHTS:
            read["parent"] = self.parent(w)
        if stage == "train":
            read["tuned"] = self.tuned(w)
        if stage == "predict":
            read["run"] = self._run_files(w.experiment, w.seed)
        return read

    def stores(self, w: Any) -> list[str]:
        """Samples table, frames and embeddings that a run reads."""
        data, needs = self.experiment(w)["spec"]["data"], self.needs(w)
        paths = [str(self.results / "data" / data / "samples.parquet")]
        for frame_set in sorted({frame_set for frame_set, _ in needs.frames}):
            paths += self._each_bucket(data, f"frames/{frame_set}", "bucket_{}")
        for encoder in sorted(needs.embeddings):
            paths += self._each_bucket(data, f"embeddings/{encoder}", "bucket_{}.h5")
        return paths

    def masks(self, w: Any) -> list[str]:
        """Given masks of a run's data, where its task reads any."""
        return self.mask_files(self.experiment(w)["spec"]["data"]) if self.needs(w).masks else []

    def frame_labels(self, w: Any) -> list[str]:
        """What is known of the frames of a run's data, where its task reads any."""
        return self.label_folders(self.experiment(w)["spec"]["data"]) if self.needs(w).labels else []

    def pretrained(self, w: Any) -> list[str]:
        """Local folders in the hub's format that a run's task or model names, or its encoders for decoding, and exports
        of other experiments."""
        spec = self.experiment(w)["spec"]
        made = {str(self.results / "exports" / name) for name in self.needs(w).pretrained}
        encoders = {name: self._look("encoders", name) for name in self.needs(w).networks}
        named = {**{part: spec[part] for part in ("task", "model")}, "encoders": encoders}
        return sorted(made | set(hub.local_folders(named)))

    def networks(self, w: Any) -> list[str]:
        """Exported networks that a run decodes with; one from the hub is named in its embedding files."""
        own = [name for name in self.needs(w).networks if self._look("encoders", name)["experiment"]]
        return [str(self.results / "encoders" / name) for name in own]

    def sources(self, w: Any, stage: str) -> list[str]:
        """Predictions of other experiments that a stage of a run reads as data: those for training where it makes
        weights; where it predicts or looks at predictions, those of the split in hand or of all evaluated ones."""
        experiment = self.experiment(w)
        own = getattr(w, "seed", experiment["seeds"][0])
        in_hand = [w.split] if hasattr(w, "split") else experiment["evaluate"]
        paths = []
        for source in self.needs(w).sources:
            folder = self._run(source.experiment) / f"seed_{own if source.seed is None else source.seed}"
            training = [*source.train, *([experiment["spec"]["select"]] if source.select else [])]
            wanted = training if stage in MAKES_WEIGHTS else []
            wanted = wanted + (in_hand if source.evaluate and stage not in ("train", "tune") else [])
            paths += [str(folder / "predictions" / f"{name}.h5") for name in dict.fromkeys(wanted)]
        return paths

    def tuned(self, w: Any) -> list[str]:
        budget = self.experiment(w)["spec"]["budget"]
        return [str(self._run(w.experiment) / "tuned.json")] if budget["sweep"] and budget["steps"] else []

    def parent(self, w: Any) -> list[str]:
        """Weights and record of the run named by `init`, or the weights file that it names."""
        experiment = self.experiment(w)
        init = experiment["spec"]["init"]
        if init is None:
            return []
        if init["file"]:
            return [os.path.expanduser(init["file"])]
        own = getattr(w, "seed", experiment["seeds"][0])
        return self._run_files(init["experiment"], init["seed"] if init["seed"] is not None else own)

    def threads(self, w: Any) -> int:
        return self.experiment(w)["spec"]["budget"]["threads"]

    def scores(self, names: list[str] | None = None) -> list[str]:
        """Score tables of some or all active experiments, every seed and evaluated split."""
        return [
            str(self._run(name) / f"seed_{seed}" / "scores" / f"{split}.csv")
            for name in sorted(names or self.plan["experiments"])
            for seed in self.plan["experiments"][name]["seeds"]
            for split in self.plan["experiments"][name]["evaluate"]
        ]

    def score_facts(self, names: list[str] | None = None) -> list[str]:
        return [path.removesuffix(".csv") + ".json" for path in self.scores(names)]

    def run_records(self, file: str, trained: bool = False) -> list[str]:
        """A file of every run, or of those whose weights the rule `train` makes."""
        return [
            str(self._run(name) / f"seed_{seed}" / file)
            for name, experiment in sorted(self.plan["experiments"].items())
            for seed in experiment["seeds"]
            if experiment["weights"] == "train" or not trained
        ]

    def submissions(self) -> list[str]:
        """Folders with the predictions of hidden splits."""
        return [
            str(self._run(name) / f"seed_{seed}" / "submission" / split)
            for name, experiment in sorted(self.plan["experiments"].items())
            for seed in experiment["seeds"]
            for split in experiment["hidden"]
        ]

    def pictures(self) -> list[str]:
        """Folders with the predictions of evaluated splits as pictures."""
        return [
            str(self._run(name) / f"seed_{seed}" / "pictures" / split)
            for name, experiment in sorted(self.plan["experiments"].items())
            for seed in experiment["seeds"]
            for split in (experiment["evaluate"] if experiment["pictures"] else [])
        ]

    # --- targets ---

    def tracks(self, rules: Any) -> list[str]:
        """Tracks with anything active: each is a target, so none may be called as one of Snakemake's `rules` is."""
        taken = sorted({rule.name for rule in rules} & set(self.plan["tracks"]))
        if taken:
            sys.exit(f"framecast: tracks.{taken[0]}: a rule has this name; call the track something else")
        return list(self.plan["tracks"])

    def track(self, name: str) -> list[str]:
        """Files of one track: comparisons with galleries, scores, caches, probes, submissions and pictures.

        Workbook and page are not among them: they are about everything that is active.
        """
        own = self.plan["tracks"][name]
        experiments = {one: self.plan["experiments"][one] for one in own["experiments"]}
        comparisons = {one: self.plan["comparisons"][one] for one in own["comparisons"]}
        read = {(one["spec"]["data"], encoder) for one in experiments.values() for encoder in Needs.of(one).embeddings}
        caches = [pair for pair in self.plan["caches"] if tuple(pair) in read]
        plan = {**self.plan, "experiments": experiments, "comparisons": comparisons, "caches": caches}
        part = Flow(plan, self.shards, self.results)
        groups = (part.comparisons(), part.galleries(), part.scores(), part.all_caches(), part.probes(),
                  part.submissions(), part.pictures())  # fmt: skip
        return [path for group in groups for path in group]

    def check_targets(self, parser: Callable[[], Any], rules: Iterable[Any], main: bool) -> None:
        """End the parse where a target on the command line is a plain word that names no rule.

        Args:
            parser: Makes Snakemake's parser of its command line: while it reads the Snakefile, its `workflow` does not
                know the targets yet.
            rules: All rules of the workflow.
            main: Whether this is the main process; those of jobs have no targets of a user's.
        """
        if not main or "snakemake" not in sys.argv[0]:
            return
        names = {rule.name for rule in rules}
        for word in parser().parse_known_args(sys.argv[1:])[0].targets:
            if word not in names and not set("/.") & set(word):
                near, there = nearest(word, ["all", *self.plan["tracks"]]), ", ".join(self.plan["tracks"]) or "none"
                sys.exit(
                    f"framecast: there is no target {word!r}{near}; targets are: all, the active tracks ({there}), and "
                    f"files below {self.results}/"
                )

    def outlook(self, workflow: Any, measured: Path) -> str:
        """What is about to run, for the user (`framecast.workflow.outlook`).

        Args:
            workflow: Snakemake's object, when its jobs are known.
            measured: File with the CPU seconds of the default config; they do not hold for a config with overlays.
        """
        found = workflow.dag.needrun_jobs()
        jobs = [Work(job.rule.name, dict(job.wildcards.items()), list(job.output)) for job in found if job.output]
        changed = workflow.overwrite_configfiles or workflow.config_settings.overwrite_config
        cores = workflow.resource_settings.cores  # none where an executor of a cluster is given jobs alone
        seconds = read_json(measured) if measured.is_file() and cores and not changed else None
        return outlook.text(self.plan, jobs, cores or 1, seconds)

    # --- analysis ---

    def compared(self, w: Any) -> list[str]:
        comparison = self._look("comparisons", w.comparison)
        return sorted({comparison["baseline"], *comparison["treatments"]})

    def comparison(self, w: Any) -> str:
        comparison = self._look("comparisons", w.comparison)
        data = self.plan["experiments"][comparison["baseline"]]["spec"]["data"]
        return canonical({**comparison, "select": self.data(data)["select"], "track": self._track(w.comparison)})

    def _track(self, comparison: str) -> dict[str, Any] | None:
        """What a comparison's file says of its track, for who has the results without the config."""
        for name, track in self.plan["tracks"].items():
            if comparison in track["comparisons"]:
                return {"name": name, "title": track["title"], "primary": comparison == track["comparisons"][0]}
        return None

    def galleries(self) -> list[str]:
        """Pictures of the comparisons whose task draws any."""
        return [
            str(self.results / "galleries" / name / f"{split}.png")
            for name, comparison in sorted(self.plan["comparisons"].items())
            if self.plan["experiments"][comparison["baseline"]]["gallery"]
            for split in comparison["splits"]
        ]

    def gallery(self, w: Any) -> str:
        """What a comparison's picture depends on: its experiments in order, with titles, seeds and code."""
        comparison = self._look("comparisons", w.comparison)
        names = [comparison["baseline"], *comparison["treatments"]]
        first = self.plan["experiments"][names[0]]
        members = [
            {"experiment": name, "title": self.plan["titles"][name], "seed": self.plan["experiments"][name]["seeds"][0]}
            for name in names
        ]
        return canonical({"task": first["spec"]["task"], "members": members, "fingerprint": first["code"]["gallery"]})

    def gallery_inputs(self, w: Any) -> dict[str, list[str]]:
        """Predictions of a comparison's experiments (first seeds), each split, and what the baseline's task reads."""
        comparison = self._look("comparisons", w.comparison)
        names = [comparison["baseline"], *comparison["treatments"]]
        seeds = {name: self.plan["experiments"][name]["seeds"][0] for name in names}
        baseline = SimpleNamespace(experiment=names[0], seed=seeds[names[0]])
        predictions = [
            str(self._run(name) / f"seed_{seed}" / "predictions" / f"{split}.h5")
            for split in comparison["splits"]
            for name, seed in seeds.items()
        ]
        read = {"masks": self.masks(baseline), "labels": self.frame_labels(baseline),
                "sources": self.sources(baseline, "gallery"), "prompts": self.prompts(baseline),
                "networks": self.networks(baseline)}  # fmt: skip
        return {"predictions": predictions, "stores": self.stores(baseline), **read}

    def comparisons(self) -> list[str]:
        return [str(self.results / "comparisons" / f"{name}.json") for name in sorted(self.plan["comparisons"])]

    def results_of_all(self) -> dict[str, list[str]]:
        """Everything that the workbook and the page read."""
        return {
            "comparisons": self.comparisons(),
            "scores": self.scores(),
            "facts": self.score_facts(),
            "runs": self.run_records("run.json"),
            "curves": self.run_records("curve.csv", trained=True),
            "index": self.data_files("index.parquet"),
            "rejected": self.data_files("rejected.csv"),
            "splits": self.data_files("splits.json"),
            "probes": self.probes(),
        }

    def note(self) -> str:
        """What stands on top of the page."""
        return self.plan["note"] or ""

    def titles(self) -> str:
        return canonical(self.plan["titles"])

    def track_members(self) -> str:
        """Experiments and comparisons of each track, in the order of the config."""
        return json.dumps(self.plan["tracks"])

    def config_text(self) -> str:
        """What is active, in full, for the provenance sections; how the work was done is not part of it."""
        shown = {
            key: self.plan[key] for key in ("data", "frame_sets", "encoders", "prompts", "experiments", "comparisons")
        }
        return canonical({"config": _without_code(shown)})

    def frame_stores(self, w: Any) -> list[str]:
        return self._each_bucket(w.data, f"frames/{w.frame_set}", "bucket_{}")

    def data_files(self, file: str) -> list[str]:
        return [str(self.results / "data" / name / file) for name in sorted(self.plan["data"])]

    def contact_sheets(self) -> list[str]:
        pairs = {(experiment["spec"]["data"], frame_set) for experiment in self.plan["experiments"].values()
                 for frame_set, _ in Needs.of(experiment).frames}  # fmt: skip
        pairs |= {(data, self.plan["encoders"][encoder]["frames"]) for data, encoder in self.plan["caches"]}
        return [str(self.results / "data" / data / "contact_sheets" / f"{name}.png") for data, name in sorted(pairs)]

    # --- paths ---

    def _look(self, table: str, name: str) -> dict[str, Any]:
        entries = self.plan[table]
        if name not in entries:
            raise ConfigError(
                f"{table}: {name!r} is not active; active (config `run` and what it needs): {sorted(entries)}"
            )
        return entries[name]

    def _each_bucket(self, data: str, folder: str, pattern: str) -> list[str]:
        return [str(self.results / "data" / data / folder / pattern.format(bucket)) for bucket in self.buckets(data)]

    def _run(self, experiment: str) -> Path:
        return self.results / "runs" / experiment

    def _run_files(self, experiment: str, seed: Any) -> list[str]:
        """Weights and record of a run; the weights may be its parent's."""
        folder = self._run(experiment) / f"seed_{seed}"
        if self._look("experiments", experiment)["weights"] == "parent":
            weights, _ = self.parent(SimpleNamespace(experiment=experiment, seed=seed))
        else:
            weights = str(folder / "model.safetensors")
        return [weights, str(folder / "run.json")]


@contextlib.contextmanager
def _errors_alone(main: bool) -> Iterator[None]:
    """A config that cannot be run ends the main process's parse with its errors alone: a traceback would bury them."""
    try:
        yield
    except (ConfigError, OSError) as error:
        if not main:
            raise
        sys.exit(f"framecast: the config cannot be run:\n{error}")


def on_default(overlay: dict[str, Any], main: bool) -> dict[str, Any]:
    """The default config with Snakemake's `--configfile` and `--config`, merged already, on top."""
    with _errors_alone(main):
        return loading.merge(loading.default(), overlay)


def prepare(config: dict[str, Any], results: Path, main: bool, overlays: Sequence[Path] = ()) -> Flow:
    """Plan the config and list the videos (in the main process), or read what the main process found (in a job).

    Args:
        overlays: The files that `config` was merged from, beside the default's: errors name their lines.
    """
    overlays = [path for path in overlays if path.suffix != ".json"]  # which may have tabs, as YAML may not
    with _errors_alone(main):
        if main:
            loading.check(overlays)
        with loading.placed(config, overlays):
            made = plan.make(config, results / ".framecast" / "plans")
        folder = results / ".framecast" / "listing"
        find = catalogue.update if main else catalogue.load
        shards = {name: find(data, folder / name) for name, data in made["data"].items()}
    # Scripts take this checkout's library, under conda as well, and before an installed one.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    # How the work is done is no parameter, so that changing it re-runs nothing; jobs find it in their environment.
    os.environ[SETTINGS] = canonical(made["settings"])
    flow = Flow(made, shards, results)
    # Where GPUs are used, jobs are long; and a process must not fork after a library has touched one.
    if main and made["settings"]["forkserver"] and not flow.gpus():
        os.environ[forkserver.MAIN] = str(os.getpid())
    return flow


def _without_code(value: Any) -> Any:
    """The plan without fingerprints: a change of code that matters arrives through the results."""
    if isinstance(value, dict):
        return {key: _without_code(item) for key, item in value.items() if key != "code"}
    return value
