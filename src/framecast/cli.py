"""The command `framecast`: what is useful without the workflow, and what keeps its documents in step."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framecast import __version__
from framecast.core.devices import DEVICES

if TYPE_CHECKING:
    from framecast.config.base import Config

FOLDER = ": new, empty, or made by the same command"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors a user can mend are one sentence, not a traceback."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.command(options) or 0
    except (OSError, ValueError) as error:
        print(f"framecast: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("framecast", description="Tools beside the framecast workflow.")
    parser.add_argument("--version", action="version", version=f"framecast {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    index = commands.add_parser("index", help="what is in a folder of videos, and what is wrong with it")
    index.add_argument("folder", type=Path, help="folder of videos, searched recursively")
    index.add_argument("--out", type=Path, required=True, help=f"folder for index.parquet and rejected.csv{FOLDER}")
    index.add_argument(
        "--timeout", type=float, default=300, help="seconds that decoding one file may take (default 300)"
    )
    index.set_defaults(command=_index)

    world = commands.add_parser("world", help="write the embedded world as videos or as folders of pictures")
    world.add_argument("--out", type=Path, required=True, help=f"folder to write{FOLDER}")
    world.add_argument("--config", type=Path, help="config file, on top of the default")
    world.add_argument("--data", default="world", help="entry of `data` with a world source (default world)")
    world.add_argument("--seed", type=int, help="another seed than the config's")
    world.add_argument("--size", type=_size, metavar="HEIGHTxWIDTH", help="another size than the config's, pixels")
    world.add_argument(
        "--layout", choices=["plain", *SHARES], default="plain",
        help="plain: videos with labels, states and masks (default); frame_folders: train, val, unlabeled and hidden "
        "with 22 (hidden: 11) pictures a video, and masks in train and val; ssv2: numbered videos with the json files "
        "of Something-Something V2",
    )  # fmt: skip
    world.add_argument(
        "--shares", nargs="+", type=_share, metavar="FOLDER=SHARE", default=None,
        help="of frame_folders and ssv2: shares of the videos (default train=.35 val=.25 unlabeled=.25 hidden=.15; "
        "train=.7 validation=.2 test=.1)",
    )  # fmt: skip
    world.add_argument(
        "--truth", type=Path, help="of frame_folders: new .npy file for the masks of the hidden videos' 22nd frames"
    )
    world.set_defaults(command=_world)

    chosen = commands.add_parser("filter", help="count the clips of tasks in json files of Something-Something V2")
    chosen.add_argument("files", type=Path, nargs="+", help="train.json, validation.json, …")
    chosen.add_argument("--labels", type=Path, help="labels.json, to be checked")
    chosen.add_argument("--config", type=Path, help="config file with `task_lists`, on top of the default")
    chosen.add_argument("--tasks", default="brief", help="entry of `task_lists` (default brief)")
    chosen.add_argument(
        "--videos", type=Path, metavar="DIR", help="folder of the videos: name the clips of these tasks that are not "
        "there; the exit status is then 1",
    )  # fmt: skip
    chosen.add_argument("--suffix", default=".webm", help="with --videos: end of the files' names (default .webm)")
    chosen.set_defaults(command=_filter)

    export = commands.add_parser("export", help="write a frame store as folders of PNG files")
    export.add_argument("frames", type=Path, nargs="+", help="bucket folders below results/data/DATA/frames/FRAME_SET")
    export.add_argument("--view", required=True, help="view to write")
    export.add_argument("--out", type=Path, required=True, help=f"folder to write{FOLDER}")
    export.set_defaults(command=_export)

    show = commands.add_parser("show", help="print what a results folder answers: one comparison a track")
    show.add_argument("results", type=Path, nargs="?", default=Path("results"), help="results folder (default results)")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--all", action="store_true", help="all tables of all comparisons")
    form.add_argument("--markdown", action="store_true", help="for a document, with learning rates and probes")
    show.set_defaults(command=_show)

    _apply_parsers(commands)
    _weights_parser(commands.add_parser("weights", help="weights of OpenSTL's SimVP: read them, or write them for it"))

    config = commands.add_parser("config", help="check a config, or write its schema, reference or comments")
    kinds = config.add_subparsers(required=True, metavar="WHAT")
    check = kinds.add_parser("check", help="check the default config, with overlays on top in the order given")
    check.add_argument("files", type=Path, nargs="*", help="overlays, as for snakemake --configfile")
    check.set_defaults(command=_config_check)
    for name, text in (("schema", "print the JSON schema"), ("reference", "print the reference page")):
        kinds.add_parser(name, help=text).set_defaults(command=_config_print, what=name)
    annotate = kinds.add_parser("annotate", help="put every key's description into a config file")
    annotate.add_argument("file", type=Path)
    annotate.set_defaults(command=_config_annotate)
    return parser


def _apply_parsers(commands: Any) -> None:
    label = commands.add_parser("label", help="class masks of every frame of one's own videos, by a trained run")
    label.add_argument("run", type=Path, help="folder of a segmentation's run, such as results/runs/unet/seed_0")
    label.set_defaults(command=_label)
    predict = commands.add_parser("predict", help="future masks of one's own videos, by a trained run")
    predict.add_argument("run", type=Path, help="folder of a run of future masks: results/runs/simvp_tuned/seed_0")
    predict.add_argument(
        "--labeler", type=Path, metavar="RUN", help="folder of a segmentation's run that makes masks of the frames "
        "(default: the mask.npy of frame folders)",
    )  # fmt: skip
    predict.add_argument("--first", type=int, default=0, help="number of the first frame given, from 0 (default 0)")
    predict.set_defaults(command=_predict)
    _edit_parser(commands.add_parser("edit", help="one later frame from a frame and a text, by a trained pipeline"))
    for parser in (label, predict):
        parser.add_argument(
            "sources", type=Path, nargs="+", metavar="SOURCE", help="video, folder with image_0.png …, or folder of "
            "these, which is searched",
        )  # fmt: skip
        parser.add_argument("--out", type=Path, required=True, help=f"folder to write{FOLDER}")
        parser.add_argument("--device", choices=DEVICES, default="auto", help="where networks run (default auto)")


def _edit_parser(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="run of a pipeline that is exported: results/runs/ip2p_5/seed_0")
    source.add_argument("--pipeline", help="pipeline folder or hub name: results/exports/ip2p_5")
    parser.add_argument("--revision", help="with a hub name: commit of its weights")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--image", type=Path, help="the frame given, png or jpeg")
    given.add_argument("--video", type=Path, help="video, or folder with image_0.png …, that holds the frame given")
    parser.add_argument("--frame", type=int, default=20, help="with --video: number of the frame, from 0 (default 20)")
    words = parser.add_mutually_exclusive_group(required=True)
    words.add_argument("--text", help="the action, put into the wording that our models learn")
    words.add_argument("--prompt", help="a prompt, taken as it is")
    share = parser.add_mutually_exclusive_group()
    share.add_argument("--progress", type=int, choices=range(101), metavar="PERCENT", help="of the action that is done")
    share.add_argument(
        "--estimate", type=Path, metavar="RUN", help="with --video: a run of task `progress` that says how much of the "
        "action is done",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=25, help="denoising steps (default 25)")
    parser.add_argument("--text-guidance", type=float, default=7.5, help="how much the text pulls (default 7.5)")
    parser.add_argument("--image-guidance", type=float, default=1.5, help="how much the frame pulls (default 1.5)")
    parser.add_argument("--scheduler", help="sampler of diffusers by class name (default: the pipeline's)")
    parser.add_argument("--seed", type=int, default=42, help="of the noise (default 42)")
    parser.add_argument("--out", type=Path, required=True, help="new picture to write, .png; a comparison goes beside")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where networks run (default auto)")
    parser.set_defaults(command=_edit)


def _weights_parser(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    to_ours = kinds.add_parser("import", help="OpenSTL's checkpoint → safetensors")
    to_ours.add_argument("checkpoint", type=Path, help="file of torch.save or Lightning, or .safetensors")
    to_ours.add_argument("--out", type=Path, required=True, help="new file to write, .safetensors")
    to_ours.add_argument("--prefix", default="", help="put before each name, for example `simvp.` (default: nothing)")
    to_ours.set_defaults(command=_weights_import)
    to_theirs = kinds.add_parser("export", help="the SimVP of a run → a checkpoint for OpenSTL")
    to_theirs.add_argument("run", type=Path, help="folder of the run, results/runs/EXPERIMENT/seed_SEED")
    to_theirs.add_argument("--out", type=Path, required=True, help="new file to write, .ckpt or .safetensors")
    to_theirs.add_argument(
        "--lightning", action="store_true", help="as Lightning writes them, which OpenSTL's test reads"
    )
    to_theirs.set_defaults(command=_weights_export)


def _index(options: argparse.Namespace) -> int:
    from framecast.data.index import index_folder

    print(index_folder(options.folder.expanduser(), options.out, options.timeout))
    return 0


SHARES = {
    "frame_folders": {"train": 0.35, "val": 0.25, "unlabeled": 0.25, "hidden": 0.15},
    "ssv2": {"train": 0.7, "validation": 0.2, "test": 0.1},
}


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give height and width, pixels, such as 160x240")
    return int(height), int(width)


def _share(text: str) -> tuple[str, float]:
    folder, _, share = text.partition("=")
    try:
        return folder, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give a folder and its part: train=.35") from None


def _world(options: argparse.Namespace) -> int:
    from framecast.world import generation

    source = _world_source(options)
    if options.truth is not None and options.layout != "frame_folders":
        raise ValueError("--truth belongs to --layout frame_folders")
    if options.layout in SHARES:
        shares = SHARES[options.layout] if options.shares is None else dict(options.shares)
        if options.layout == "ssv2":
            counts = generation.write_ssv2(source, shares, options.out)
        else:
            counts = generation.write_frame_folders(source, shares, options.out, options.truth)
        print(f"{', '.join(f'{count} {name}' for name, count in counts.items())} videos in {options.out}")
        return 0
    if options.shares is not None:
        raise ValueError("--shares belongs to --layout frame_folders and --layout ssv2")
    generation.write_folder(source, options.out)
    print(f"{source['videos']} videos with labels in {options.out}")
    return 0


def _world_source(options: argparse.Namespace) -> dict[str, Any]:
    """The config's world with the changes of the command line."""
    from framecast.config.base import WorldSource
    from framecast.core.validation import known, parse

    config = _config(options.config)
    known("data", options.data, config.data, "--data")
    source = config.data[options.data].source.model_dump(mode="json")
    if source["kind"] != "world":
        raise ValueError(f"--data {options.data}: its source is {source['kind']!r}, not 'world'")
    if options.seed is not None:
        source["seed"] = options.seed
    if options.size is not None:
        source["height"], source["width"] = options.size
    source = parse(WorldSource, source, f"--data {options.data}").model_dump(mode="json")
    if source["tasks"] is not None:
        from framecast.workflow.plan import task_list

        source["tasks"] = task_list(config, source["tasks"], f"data.{options.data}.source.tasks")
    return source


def _config(overlay: Path | None) -> Config:
    """The default config, with the file of `--config` on top where one is given."""
    from framecast.config import loading
    from framecast.config.base import Config
    from framecast.core.validation import parse

    overlays = [] if overlay is None else [overlay]
    merged = loading.load(overlays)
    with loading.placed(merged, overlays):
        return parse(Config, merged)


def _filter(options: argparse.Namespace) -> int:
    from framecast.data.annotations.ssv2_selection import counts
    from framecast.workflow.plan import task_list

    tasks = task_list(_config(options.config), options.tasks, "--tasks")
    missing = 0
    for file in options.files:
        text, absent = counts(file, tasks, options.labels, options.videos, options.suffix)
        print(text)
        missing += absent
    return 1 if missing else 0


def _export(options: argparse.Namespace) -> int:
    from framecast.data.png_export import export_png

    export_png(options.frames, options.view, options.out)
    return 0


def _show(options: argparse.Namespace) -> int:
    from framecast.analysis import console

    shown = console.markdown if options.markdown else console.comparisons if options.all else console.first_screen
    print(shown(options.results))
    return 0


def _label(options: argparse.Namespace) -> int:
    from framecast.apply.label import label

    return _told(label(options.run, options.sources, options.out, options.device), options.out)


def _predict(options: argparse.Namespace) -> int:
    from framecast.apply.predict import predict

    return _told(
        predict(options.run, options.sources, options.out, options.labeler, options.first, options.device), options.out
    )


def _edit(options: argparse.Namespace) -> int:
    from framecast.apply.edit import Wish, edit, exported
    from framecast.weights.hub import WeightsError

    if options.frame < 0 or options.steps < 1:
        raise ValueError(f"--frame is {options.frame} and --steps {options.steps}; at least 0 and 1 are needed")
    names = ("text", "prompt", "progress", "steps", "text_guidance", "image_guidance", "scheduler", "seed")
    wish = Wish(**{name: getattr(options, name) for name in names})
    try:
        words = edit(
            options.pipeline or str(exported(options.run)), wish, options.out, run=options.run,
            revision=options.revision, image=options.image, video=options.video, frame=options.frame,
            estimate=options.estimate, device=options.device,
        )  # fmt: skip
    except WeightsError as error:
        raise ValueError(str(error)) from error
    print(f"{options.out}: {words}")
    return 0


def _told(outcomes: list[Any], out: Path) -> int:
    """Name what failed; the exit status."""
    failed = [one for one in outcomes if one.status == "failed"]
    for one in failed:
        print(f"framecast: {one.video_id}: {one.reason}", file=sys.stderr)
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} videos in {out}")
    return 1 if failed else 0


def _weights_import(options: argparse.Namespace) -> int:
    from framecast.weights import openstl

    count = openstl.import_file(options.checkpoint, options.out, options.prefix)
    print(f"{count} tensors in {options.out}")
    return 0


def _weights_export(options: argparse.Namespace) -> int:
    from framecast.weights import openstl

    count = openstl.export_run(options.run, options.out, options.lightning)
    print(f"{count} tensors in {options.out}")
    return 0


def _config_check(options: argparse.Namespace) -> int:
    from framecast.config import loading
    from framecast.config.base import Config
    from framecast.core.validation import parse
    from framecast.workflow import plan

    merged = loading.load(options.files)
    with loading.placed(merged, options.files):
        made = plan.resolve(parse(Config, merged))
    print(f"{len(made['experiments'])} experiments and {len(made['comparisons'])} comparisons are active and valid")
    return 0


def _config_print(options: argparse.Namespace) -> int:
    from framecast.config import docs

    print(getattr(docs, options.what)(), end="")
    return 0


def _config_annotate(options: argparse.Namespace) -> int:
    from framecast.config import docs
    from framecast.core.files import replacing

    try:
        text = docs.annotate(options.file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{options.file}: {error}") from error
    with replacing(options.file.resolve()) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return 0
