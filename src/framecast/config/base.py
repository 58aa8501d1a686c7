"""The config: typed, closed, every key described. Which files it is read from: `framecast.config.loading`.

These models are the one source of the keys, their types, defaults and descriptions: `config/schema.json`,
`docs/config.md` and the comments that `framecast config annotate` writes are generated from them.

An experiment is task + data + model + budget (+ init), run with a seed. The tables `tasks`, `models` and `budgets`
name parts that several experiments share; an experiment refers to them by name. What is inside a task or a model
belongs to its module (`framecast.tasks.<name>.Config`, `framecast.models.<name>.Config`) and is checked by
`framecast.workflow.plan`.

This module imports neither torch nor pandas: the Snakefile reads it in every job.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from framecast.config.split_rules import drawn_splits, split_names
from framecast.core.precision import Precision

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Closed(BaseModel):
    """A model that refuses unknown keys and takes its keys' descriptions from the docstrings below them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


class Pretrained(Closed):
    """A network or a tokenizer in the Hugging Face hub's folder format (`framecast.weights.hub`)."""

    hub: str | None = None
    """Name on the hub, or a local folder in its format."""
    revision: str | None = None
    """Commit of the hub model; pinned, so that a name means one set of files. Not for local folders."""
    experiment: str | None = None
    """Instead of `hub`: an experiment of this config whose network (of its first seed) is exported and used."""

    @model_validator(mode="after")
    def _one_source(self) -> Pretrained:
        if (self.hub is None) == (self.experiment is None):
            raise ValueError("give either `hub` or `experiment`, not both and not neither")
        if self.experiment is not None and self.revision is not None:
            raise ValueError(f"revision is {self.revision!r}, but an experiment's export has none; leave it out")
        return self


# --- data ------------------------------------------------------------------------------------------------------------


class WorldSource(Closed):
    """The embedded world: small videos of solid shapes that move by simple physics, made from a seed."""

    kind: Literal["world"]
    """`world`: generate the videos; no download."""
    seed: int = 0
    """Seed of the whole world. The same seed gives the same bytes on the same machine."""
    videos: Positive = 240
    """Number of videos."""
    frames: tuple[Positive, Positive] = (44, 64)
    """Shortest and longest video, frames. At least 40, so that a history of 30 fits."""
    height: Positive = 64
    """Height of the videos, pixels; even."""
    width: Positive = 96
    """Width of the videos, pixels; even."""
    fps: Positive = 12
    """Frames per second."""
    objects: tuple[Positive, Positive] = (1, 3)
    """Fewest and most objects in a video (some classes need two)."""
    tasks: str | None = None
    """Key of `task_lists`: only the videos whose template is in it are kept, of `videos` counted before; null keeps
    all."""

    @model_validator(mode="after")
    def _sizes(self) -> WorldSource:
        if self.frames[0] < 40 or self.frames[0] > self.frames[1]:
            raise ValueError(f"frames is {list(self.frames)}: needs 40 <= shortest <= longest")
        if self.height % 2 or self.width % 2 or min(self.height, self.width) < 32:
            raise ValueError(f"size is {self.height}x{self.width}: height and width must be even and at least 32")
        if self.objects[0] > self.objects[1] or self.objects[1] > 6:
            raise ValueError(f"objects is {list(self.objects)}: needs 1 <= fewest <= most <= 6")
        return self


def _not_empty(path: str) -> str:
    if not path.strip():
        raise ValueError("the path is empty; give the folder that holds the videos (`.` for the working folder)")
    return path


VideoFolder = Annotated[str, AfterValidator(_not_empty)]


def _names_a_file(path: str) -> str:
    if not path.strip():
        raise ValueError("the path is empty; give the json file")
    return path


AnnotationPath = Annotated[str, AfterValidator(_names_a_file)]


class PlainSource(Closed):
    """A folder of videos, with or without class subfolders."""

    kind: Literal["plain"]
    """`plain`: a folder of video files, searched recursively."""
    path: VideoFolder
    """The folder; relative paths start at the working folder."""
    suffixes: list[str] = [
        ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4",
        ".mpeg", ".mpg", ".ogv", ".ps", ".ts", ".webm", ".wmv",
    ]  # fmt: skip
    """File name endings that count as video, compared without case; other files are not looked at."""
    label: Literal["folder", "none"] = "folder"
    """Where the class comes from: the first folder below `path`, or nowhere."""
    group: str | None = None
    """Regular expression on the video id; its first group names the recording (UCF-101: `_(g[0-9]+)_`). Clips of one
    recording and class stay in one split."""
    timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds that decoding one file may take before the file is rejected."""

    @field_validator("group")
    @classmethod
    def _regex(cls, value: str | None) -> str | None:
        try:
            groups = 1 if value is None else re.compile(value).groups
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        if groups < 1:
            raise ValueError(f"{value!r} has no group: put the recording's part in parentheses")
        return value


class FrameFolderSource(Closed):
    """Videos as folders of numbered pictures, `train/video_00000/image_0.png …`, with class masks in `mask.npy`."""

    kind: Literal["frame_folders"]
    """`frame_folders`: every folder that holds `image_*.png` is a video."""
    path: VideoFolder
    """The folder; relative paths start at the working folder. A video's id is its folder's path below it."""
    frames: Annotated[dict[str, Positive], Field(min_length=1)]
    """First folder below `path` to the number of frames that each video in it must have, for example
    `{train: 22, val: 22, unlabeled: 22, hidden: 11}`. Videos in other folders, or with other numbers, are rejected."""
    labelled: list[str] = []
    """First folders whose videos must have a `mask.npy`: uint8 [frames, height, width]. In other folders it is not
    read."""
    classes: Annotated[int, Field(ge=2, le=256)] = 49
    """Values that a mask may hold, 0 (background) to `classes` − 1; a video with another value is rejected."""
    fps: Annotated[float, Field(gt=0)]
    """Frames per second: pictures say nothing of time, timestamps are counted off with it."""

    @model_validator(mode="after")
    def _folders(self) -> FrameFolderSource:
        for folder in self.frames:
            if not folder or "/" in folder:
                raise ValueError(f"frames has {folder!r}: needs the name of one folder below `path`, without `/`")
        for folder in self.labelled:
            if folder not in self.frames:
                raise ValueError(f"labelled has {folder!r}: needs one of the folders of `frames`: {list(self.frames)}")
        return self


class Ssv2Source(Closed):
    """Something-Something V2, or a set in its form: clips with texts, filtered to tasks before any is decoded."""

    kind: Literal["ssv2"]
    """`ssv2`: the annotations name the clips; of the folder nothing else is looked at."""
    path: VideoFolder
    """The folder of the clips, `78687.webm` …; relative paths start at the working folder."""
    suffix: str = ".webm"
    """What follows the id in a clip's file name."""
    labels: AnnotationPath
    """The published labels.json: template without brackets → number."""
    train: AnnotationPath
    """The published train.json: a list of `{id, label, template, placeholders}`."""
    validation: AnnotationPath
    """The published validation.json, in the same form."""
    test: AnnotationPath | None = None
    """The published test.json, a list of `{id}`: clips without text, so only where `tasks` is null."""
    tasks: str | None
    """Key of `task_lists`: only the clips whose template is in it are indexed and decoded; null keeps all."""
    caps: dict[Name, Positive] = {}
    """Split to the most clips of each task in it, for example `{train: 2000, test: 100}`; a split without a number
    keeps all. Which are kept follows from a hash of the id, not from the order in the files."""
    seed: int = 0
    """Seed of that hash."""
    timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds that decoding one file may take before the file is rejected."""


class RandomSplit(Closed):
    """Splits drawn by hash of the id, stratified by class, with recording groups kept together."""

    kind: Literal["random"] = "random"
    """`random`: drawn, seeded."""
    fractions: dict[Name, Fraction] = {"train": 0.7, "select": 0.15, "test": 0.15}
    """Share of each split; the shares add up to 1."""
    seed: int = 0
    """Seed of the draw."""

    @field_validator("fractions")
    @classmethod
    def _sum(cls, value: dict[str, float]) -> dict[str, float]:
        if abs(sum(value.values()) - 1) > 1e-6:
            raise ValueError(f"the fractions add up to {sum(value.values()):g}, not 1")
        return value


class SubfolderSplit(Closed):
    """Splits given as first folders below the source's path."""

    kind: Literal["subfolders"]
    """`subfolders`: the first folder of the video id names the split."""
    folders: dict[Name, str]
    """Split to folder, for example `{train: train, select: val, test: test}`. Splits that name one folder share its
    videos evenly, by hash of the recording: `{train: train, select: val, test: val}` where there is one validation
    set."""


class ListSplit(Closed):
    """Splits given as text files with one video id a line."""

    kind: Literal["lists"]
    """`lists`: official lists."""
    files: dict[Name, str]
    """Split to text file; a line holds a video id, and may hold a class number after a blank. Splits that name one file
    share its videos evenly, by hash of the recording."""


class OfficialSplit(Closed):
    """The division that the set was published with."""

    kind: Literal["official"]
    """`official`: train.json and validation.json of an `ssv2` source say it."""
    sets: dict[Name, Literal["train", "validation", "test"]] = {
        "train": "train", "select": "validation", "test": "validation",
    }  # fmt: skip
    """Split to the source's file. Splits that name one file share its clips evenly, by hash of the id."""


KINDS: dict[str, dict[str, type[BaseModel]]] = {
    "source": {"world": WorldSource, "plain": PlainSource, "frame_folders": FrameFolderSource, "ssv2": Ssv2Source},
    "splits": {"random": RandomSplit, "subfolders": SubfolderSplit, "lists": ListSplit, "official": OfficialSplit},
}


class AnnotationFile(Closed):
    """A file of annotations that is written from the samples table."""

    split: str
    """The split whose clips it lists."""
    tasks: list[str] | None = None
    """Tasks of the source's task list that it takes; null takes all."""


def _of_its_kind(value: Any, kinds: dict[str, type[BaseModel]]) -> Any:
    if not isinstance(value, dict) or value.get("kind") not in kinds:
        return value
    own = kinds[value["kind"]].model_fields
    others = {key for model in kinds.values() for key in model.model_fields} - own.keys()
    return {key: item for key, item in value.items() if key not in others}


class Data(Closed):
    """A set of videos: where it comes from, how it is cut into shards and splits."""

    source: Annotated[WorldSource | PlainSource | FrameFolderSource | Ssv2Source, Field(discriminator="kind")]
    """Where the videos come from."""
    buckets: Annotated[int, Field(ge=1, le=4096)] = 16
    """Number of shards. A video's shard is a hash of its id, so a new video touches one shard. Changing it rebuilds
    all."""
    splits: Annotated[RandomSplit | SubfolderSplit | ListSplit | OfficialSplit, Field(discriminator="kind")] = (
        RandomSplit()
    )
    """Which videos train, select and test."""
    by_task: dict[Name, Annotated[dict[Name, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]] = {}
    """Where the source has `tasks`: split to new split to tasks, for example `{test: {basic: [move_object,
    drop_object, cover_object], cyclic: [back_and_forth]}}`. The divided split's videos are in the new splits, and it is
    there no more; videos of other tasks are left out and counted in splits.json."""
    select: str = "select"
    """The split that serves for early stopping, best checkpoint and tuning. No comparison may be made on it."""
    evaluate: list[str] = ["test"]
    """The splits that are predicted and scored."""
    hidden: list[str] = []
    """Splits without truth: predicted for the experiments of `run.submissions`, never scored."""
    unit: Literal["video", "group"] | None = None
    """The independent unit of every test: the video, or its recording group; null takes the group where the source
    knows groups, because clips of one recording are not independent."""
    annotation_files: dict[Name, AnnotationFile] = {}
    """Where the source has `tasks`: name to what is written into `results/data/{data}/annotations/{name}.json`, in
    the form of Something-Something V2 with `num_frames`; none given writes one file a split, named after it."""

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, values: Any) -> Any:
        """An overlay that changes a kind leaves the keys of the old kind behind, because mappings merge: drop those."""
        if not isinstance(values, dict):
            return values
        return {key: _of_its_kind(value, KINDS[key]) if key in KINDS else value for key, value in values.items()}

    @model_validator(mode="after")
    def _by_task(self) -> Data:
        """Stands before what uses the names of the splits."""
        if self.by_task and getattr(self.source, "tasks", None) is None:
            raise ValueError("by_task needs source.tasks: without a task list no video has a task")
        drawn = drawn_splits(self.splits.model_dump())
        for split, parts in self.by_task.items():
            if split not in drawn:
                raise ValueError(f"by_task divides {split!r}, and the splits are {drawn}")
            if split in ("train", self.select):
                raise ValueError(f"by_task divides {split!r}, which is for training or selection; divide another split")
            tasks = [task for part in parts.values() for task in part]
            if twice := [task for task in tasks if tasks.count(task) > 1]:
                raise ValueError(f"by_task.{split} names the task {twice[0]!r} twice; keep one")
        names = self.split_names()
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"by_task makes a split {twice[0]!r}, and there is another of that name: {names}")
        return self

    @model_validator(mode="after")
    def _known_splits(self) -> Data:
        names = self.split_names()
        for split in ["train", self.select, *self.evaluate, *self.hidden]:
            if split not in names:
                raise ValueError(f"there is no split {split!r}: the splits are {names}")
        return self

    @model_validator(mode="after")
    def _known_folders(self) -> Data:
        if isinstance(self.source, FrameFolderSource) and isinstance(self.splits, SubfolderSplit):
            for split, folder in self.splits.folders.items():
                if folder not in self.source.frames:
                    raise ValueError(
                        f"splits.folders.{split} is {folder!r}; the folders of source.frames are "
                        f"{list(self.source.frames)}"
                    )
        return self

    @model_validator(mode="after")
    def _official(self) -> Data:
        if isinstance(self.source, Ssv2Source) != isinstance(self.splits, OfficialSplit):
            raise ValueError(
                f"source.kind is {self.source.kind!r} and splits.kind {self.splits.kind!r}: a source of kind 'ssv2' "
                "takes splits of kind 'official', and no other source does"
            )
        if isinstance(self.source, Ssv2Source) and isinstance(self.splits, OfficialSplit):
            _check_sets(self.source, self.splits)
        return self

    @model_validator(mode="after")
    def _annotation_files(self) -> Data:
        if self.annotation_files and getattr(self.source, "tasks", None) is None:
            raise ValueError("annotation_files needs source.tasks, because the files hold the clips of tasks")
        for name, file in self.annotation_files.items():
            if file.split not in self.split_names():
                raise ValueError(
                    f"annotation_files.{name}.split is {file.split!r}; the splits are {self.split_names()}"
                )
        return self

    def split_names(self) -> list[str]:
        """Names of the splits there are, in the config's order, those in `by_task` divided."""
        return split_names(self.splits.model_dump(), self.by_task)


def _check_sets(source: Ssv2Source, splits: OfficialSplit) -> None:
    for split in source.caps:
        if split not in splits.sets:
            raise ValueError(f"source.caps names {split!r}; the splits of splits.sets are {list(splits.sets)}")
    unlabelled = [split for split, file in splits.sets.items() if file == "test"]
    if unlabelled and source.test is None:
        raise ValueError(f"splits.sets.{unlabelled[0]} is 'test': give the path of that file as source.test")
    if unlabelled and source.tasks is not None:
        raise ValueError(
            f"splits.sets.{unlabelled[0]} is 'test', but test.json has no templates to find tasks by: set source.tasks "
            "to null, or take 'train' or 'validation'"
        )


class FrameSet(Closed):
    """Frames of every video, decoded once and resized to one or more views."""

    fps: Annotated[float, Field(gt=0)] | None = None
    """Frames per second to keep, by dropping frames, never by interpolating; null keeps every frame."""
    resize: Literal["squash", "crop", "pad"] = "squash"
    """How a frame becomes a view: `squash` ignores the aspect ratio, `crop` cuts the centre, `pad` adds black bars."""
    views: dict[Name, tuple[Positive, Positive]]
    """View name to [height, width], pixels. All views are cut from one decode."""


TEXT_KINDS = ("clip_text",)
"""Kinds of encoders that take texts, not frames; `prompts` name them."""


class Encoder(Closed):
    """A frozen network that turns frames, or texts, into embeddings, cached once for all experiments."""

    kind: str
    """Module in `framecast.encoders`: `dino`, `aim`, `clip`, …; `clip_text` encodes texts, for `prompts`."""
    hub: str | None = None
    """Model name on the Hugging Face hub, or a local folder in the hub's format."""
    revision: str | None = None
    """Commit of the hub model; pinned, so that a cache means one set of weights. Not for local folders."""
    experiment: str | None = None
    """Instead of `hub`: an experiment of this config whose network is exported and used."""
    seed: int | None = None
    """With `experiment`: which of its seeds; null takes its first."""
    frames: str | None = None
    """Frame set that is encoded; not for texts."""
    view: str | None = None
    """View of that frame set; not for texts."""
    at: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Numbers of the frames of each video that are encoded, rising; a video that is shorter has fewer. Null encodes
    all. Not for texts."""
    pool: Literal["cls", "mean"] = "cls"
    """The class token, or the mean over patch tokens (for encoders without a class token)."""
    batch: Positive = 32
    """Frames, or texts, in one forward pass."""
    precision: Precision = "float32"
    """Arithmetic of the forward pass: float32 gives the same embeddings on every device but for rounding. Others as in
    `budgets`; buckets that were encoded in different precisions are refused."""
    store: Literal["float32", "float16"] = "float32"
    """Number format in the cache."""

    @model_validator(mode="after")
    def _one_source(self) -> Encoder:
        if (self.hub is None) == (self.experiment is None):
            raise ValueError("give either `hub` or `experiment`, not both and not neither")
        return self

    @model_validator(mode="after")
    def _rising(self) -> Encoder:
        if self.at is not None and self.at != sorted(set(self.at)):
            raise ValueError(f"at is {self.at}: give each frame number once, rising: {sorted(set(self.at))}")
        return self

    @model_validator(mode="after")
    def _frames_or_texts(self) -> Encoder:
        given = [name for name in ("frames", "view", "at") if getattr(self, name) is not None]
        if self.kind in TEXT_KINDS and given:
            raise ValueError(f"kind {self.kind!r} encodes texts, so leave out {' and '.join(given)}")
        if self.kind not in TEXT_KINDS and (self.frames is None or self.view is None):
            raise ValueError(f"kind {self.kind!r} encodes frames: give `frames` and `view`")
        return self


class PromptSource(Closed):
    """Whose estimates of progress are written into prompts."""

    experiment: str
    """An experiment of task `progress` on the same data, whose moments are the prompts' frames."""
    seed: int | None = None
    """Which of its seeds; null takes its first."""


class Prompts(Closed):
    """The texts of the videos as instructions to an image generator, encoded once for all experiments:
    "Generate a future frame of this action: {text}. And {percent}% of the action has been completed."."""

    encoder: str
    """Encoder of kind `clip_text`."""
    at: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [20]
    """Numbers of the given frames for which there are prompts; a video that is shorter has none there. They count the
    frames of the file, so a frame set with `fps: null` goes with them."""
    progress: Literal["none", "index", "estimate"] = "none"
    """The sentence on progress: `none`; `index`: the frame's number over the number of frames of the whole video, which
    is knowledge of the future; `estimate`: what `source` predicts from the frames up to there."""
    source: PromptSource | None = None
    """Of `estimate`. Its estimates for the training videos come from a network that was trained on them: they are
    in-sample, closer to the truth than those for other videos, and the file says so (`in_sample`)."""
    text: Literal["text", "template"] = "text"
    """Column of the samples table: the text, or its template with slots."""

    @model_validator(mode="after")
    def _source_for_estimates(self) -> Prompts:
        if (self.source is not None) != (self.progress == "estimate"):
            raise ValueError(f"progress is {self.progress!r} and source {self.source}: `estimate` needs a `source`, "
                             "for example {experiment: pac_net}, and nothing else takes one")  # fmt: skip
        if len(set(self.at)) < len(self.at):
            raise ValueError(f"at is {self.at}: a frame number stands twice")
        return self


# --- experiments -----------------------------------------------------------------------------------------------------


class Part(BaseModel):
    """A task or a model: the name of its module, and that module's own keys beside it."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    name: str
    """Module in `framecast.tasks` or `framecast.models`; the other keys are the module's own (docs/config.md)."""


class Task(Part):
    """What is predicted from what: the name of a task's module, and that module's own keys beside it."""

    track: str | None = Field(default=None, exclude=True)
    """Key of `tracks`: what the task's experiments, and the comparisons with them, belong to; null belongs to none. It
    groups, and is no part of any run."""


class Track(Closed):
    """A line of research: tasks whose results belong together. `snakemake TRACK` makes what is active of it, alone."""

    title: str
    """Name in what is printed, and heading of its section on the page."""


class Sweep(Closed):
    """A small search on the split named by `select`, the same for every model that is compared."""

    learning_rate: list[Annotated[float, Field(gt=0)]]
    """Learning rates that are tried."""
    steps: Positive
    """Optimiser steps of each trial."""


class Budget(Closed):
    """How long and how a model is trained. `steps: 0` trains nothing (baselines, variants of inference)."""

    steps: Annotated[int, Field(ge=0)]
    """Optimiser steps; 0 trains nothing."""
    batch: Positive = 32
    """Samples a step takes on each process before accumulation."""
    accumulate: Positive = 1
    """Batches whose gradients are added before one optimiser step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Highest learning rate of AdamW; a `sweep` replaces it by its best."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay; not applied to biases, norms and embeddings (parameters of fewer than two axes)."""
    warmup: Fraction = 0.05
    """Share of the steps with linearly rising learning rate; a cosine to zero follows."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest gradient norm; null does not clip."""
    precision: Precision = "auto"
    """Arithmetic of the network. `auto`: the device decides: bf16 on a GPU that has it, else float32. What was chosen
    is part of a run's identity and stands in run.json; predictions are made with it. `bf16`, `fp16`: mixed precision;
    most CPUs emulate bf16, at ten times the time of float32; fp16 needs a GPU."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights that is evaluated and saved; 0 keeps none."""
    evaluate_every: Positive = 200
    """Steps between evaluations on `select`."""
    monitor: str = "loss"
    """Quantity of the task's `monitor` that picks the best checkpoint; lower is better, a leading `-` turns it
    round."""
    patience: Positive | None = None
    """Evaluations without a better monitored score after which training stops; null never stops early."""
    factors: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Parameter prefix to learning-rate factor, for example `{backbone.: 0.2}`; the longest prefix wins."""
    freeze: list[str] = []
    """Parameter prefixes that do not train."""
    sweep: Sweep | None = None
    """Search for the learning rate before training; null takes `learning_rate` as it is."""
    threads: Positive = 1
    """CPU threads of torch. Part of a run's identity: one and two threads give different bytes."""


class Init(Closed):
    """Start from the weights of another experiment, or from a file."""

    experiment: str | None = None
    """The other experiment."""
    seed: int | None = None
    """Its seed; null means the same seed as this run."""
    file: str | None = None
    """Instead of `experiment`: a `.safetensors` file with this network's parameter names (`framecast weights import`
    makes one of an OpenSTL checkpoint)."""
    fresh: list[str] = []
    """Parameter prefixes that are not there and start anew; all others must load."""

    @model_validator(mode="after")
    def _one_source(self) -> Init:
        if (self.experiment is None) == (self.file is None):
            raise ValueError("give either `experiment` or `file`, not both and not neither")
        return self


class Experiment(Closed):
    """task + data + model + budget (+ init), run once per seed."""

    title: str | None = None
    """Name in tables and plots; null shows the key."""
    task: str
    """Key of `tasks`."""
    data: str
    """Key of `data`."""
    model: str
    """Key of `models`."""
    budget: str
    """Key of `budgets`."""
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """One run for each."""
    init: Init | None = None
    """Weights to start from; null starts anew."""
    inference: dict[str, Any] = {}
    """Keys of the task's `Inference`; they enter prediction alone, so changing them never retrains."""


class Comparison(Closed):
    """Paired tests of some experiments against one, on the same independent units."""

    title: str | None = None
    """Heading in the workbook and the report; null shows the key."""
    baseline: str
    """The experiment that the others are compared with."""
    treatments: Annotated[list[str], Field(min_length=1)]
    """The other experiments. They share task and data with the baseline."""
    ceilings: list[str] = []
    """Those of the treatments that see what is not available at prediction time, such as the frame itself: they are
    tested and shown, but are never a track's best model or simple rule."""
    splits: Annotated[list[str], Field(min_length=1)] = ["test"]
    """Splits to compare on; never the one named by `select`."""
    metrics: Annotated[list[str], Field(min_length=1)]
    """Metrics to compare. All tests of one comparison are one Holm family."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Family-wise error rate."""


class Run(Closed):
    """What is active: `snakemake` builds these and what they need."""

    tracks: Annotated[list[str], Field(min_length=1)] | None = None
    """Keys of `tracks`. Of the lists below, only what belongs to these tracks is active; encoders belong to none and
    stay. Null takes all."""
    experiments: list[str] = []
    """Experiments to train, predict and score. Those that a comparison, an encoder or an `init` needs are added."""
    comparisons: list[str] = []
    """Comparisons to make. The first one of a track is its primary comparison: page, workbook and `framecast show`
    begin with what it says of the best trained model, on its first split and its first metric that can be tested."""
    submissions: list[str] = []
    """Experiments whose predictions of their data's `hidden` splits are written out to be handed in, with pictures."""
    pictures: list[str] = []
    """Those of the active experiments whose predictions of evaluated splits are written out as pictures, target, output
    and both beside the input, with `results.json`; for tasks that predict frames."""
    encoders: list[str] = []
    """Encoders whose cache and probe are built even where no active experiment needs them."""
    note: str | None = None
    """A sentence on top of the page: what this run is for. Null writes none."""


Templates = Annotated[list[str], Field(min_length=1)]
TaskList = Annotated[dict[Name, Templates], Field(min_length=1)]


class Light(Closed):
    """A quick pass through everything: few videos, few steps."""

    videos: Positive = 48
    """At most this many videos of each data set (the first by hash of the id; of frame folders, as many of each first
    folder)."""
    steps: Positive = 20
    """At most this many optimiser steps of each budget and sweep trial."""


class Settings(Closed):
    """How the work is done, never what comes out: a change here re-runs nothing."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where networks run; `auto` takes CUDA, then MPS, then CPU."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that load batches beside the training process; 0 loads in it."""
    checkpoint_every: Positive = 50
    """Steps between resumable checkpoints."""
    forkserver: bool = True
    """Jobs go on in a process that has loaded torch and the like already (on Linux, where no GPU is used); false lets
    each load them itself."""
    tensorboard: bool = True
    """Write TensorBoard logs."""
    wandb: str | None = None
    """Weights & Biases project to log to as well (needs the wandb package); null logs nowhere."""


class Config(Closed):
    """The whole config file."""

    run: Run
    """What is active. An overlay's lists replace these."""
    light: Light | None = None
    """Light mode; null runs in full."""
    settings: Settings = Settings()
    """How the work is done."""
    data: dict[Name, Data]
    """Sets of videos."""
    task_lists: dict[Name, TaskList] = {}
    """Lists of tasks for `source.tasks`: task to templates of Something-Something V2, with or without brackets. The
    default's `brief` takes what is close to each task; in its `strict` only covering is covering, and what is put on an
    edge and falls is dropped."""
    frame_sets: dict[Name, FrameSet] = {}
    """Frames that are extracted."""
    encoders: dict[Name, Encoder] = {}
    """Frozen networks whose embeddings are cached."""
    prompts: dict[Name, Prompts] = {}
    """Instructions made of the videos' texts, whose embeddings are cached."""
    tracks: dict[Name, Track] = {}
    """Lines of research, each a target of its own."""
    tasks: dict[Name, Task] = {}
    """What is predicted from what."""
    models: dict[Name, Part] = {}
    """Networks and trivial baselines."""
    budgets: dict[Name, Budget] = {}
    """Lengths and recipes of training."""
    experiments: dict[Name, Experiment] = {}
    """task + data + model + budget."""
    comparisons: dict[Name, Comparison] = {}
    """Paired tests."""
