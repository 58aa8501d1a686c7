"""Small runs of the mask tasks, and folders of pictures for them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from framecast.config.base import Budget
from framecast.core.files import write_json
from framecast.models import copy_last_mask, unet
from framecast.tasks import future_masks, segmentation
from framecast.training import runs
from framecast.weights import run_files, state_dict

SIZE, CLASSES = (16, 24), 9
SEGMENT = segmentation.Config(frames="native", view="small", classes=CLASSES)
FUTURE = future_masks.Config(frames="native", view="small", classes=CLASSES, given=3, ahead=2)


def made_run(folder, task, keys, model, model_keys):
    """A run as training leaves it, with the weights that it starts from."""
    spec = {
        "experiment": folder.name, "seed": 0, "task": {"name": task, **keys.model_dump(mode="json")},
        "model": {"name": model, **model_keys.model_dump(mode="json")}, "data": "toy",
        "budget": Budget(steps=0, batch=4).model_dump(mode="json"),
    }  # fmt: skip
    facts = {"size": list(SIZE), "resize": "squash"}
    write_json(folder / run_files.RECORD, {"spec": spec, "facts": facts})
    state = state_dict.snapshot(runs.build(spec, facts))
    for bias in state.keys() & {"core.readout.bias"}:  # without it, one class would win everywhere
        state[bias].zero_()
    state_dict.save(state, folder / run_files.WEIGHTS)
    return folder


def unet_of(folder):
    return made_run(folder, "segmentation", SEGMENT, "unet", unet.Config(width=8, depth=2))


def copy_of(folder):
    return made_run(folder, "future_masks", FUTURE, "copy_last_mask", copy_last_mask.Config())


def pictures(count, size=SIZE, seed=0):
    """Noise of squares, uint8 [T, H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, -(-size[0] // 4), -(-size[1] // 4), 3), np.uint8)
    return coarse.repeat(4, 1).repeat(4, 2)[:, : size[0], : size[1]]


def frame_folder(folder, frames, masks=None):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"image_{number}.png")
    if masks is not None:
        np.save(folder / "mask.npy", masks)
    return folder
