"""What every module in framecast.tasks keeps to, and each model of each task from its network to its scores.

Models are found by themselves: a model belongs to the task whose shapes its `build` takes.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from framecast.config.base import Closed
from framecast.core import components, contract
from framecast.core.needs import Needs, SourceExperiment
from framecast.core.seeding import torch_generator
from framecast.core.validation import ConfigError
from framecast.metrics import METRICS, family
from framecast.models import contract as of_models
from framecast.stores.predictions import Predictions
from framecast.tasks import contract as of_tasks
from framecast.workflow.plan import STAGE_CODE
from tests.models.test_contract import OPTIONAL, REQUIRED
from tests.tasks import test_autoencoder, test_contrast, test_latent_autoencoder, test_masks, test_pixels, test_progress
from tests.tasks.test_autoencoder import stores as moments  # noqa: F401 (fixtures, here and below)
from tests.tasks.test_embedding import CONFIG as EMBEDDING
from tests.tasks.test_embedding import stores as embeddings  # noqa: F401
from tests.tasks.test_latent_autoencoder import stores as pictures  # noqa: F401
from tests.tasks.test_masks import stores as masks  # noqa: F401
from tests.tasks.test_pixels import folders  # noqa: F401
from tests.tasks.test_pixels import stores as latents  # noqa: F401
from tests.tasks.test_progress import stores as texts  # noqa: F401

torch.set_num_threads(1)
TASKS = components.names("tasks")
# Task → fixture with its stores, its keys, an evaluated split, and the shapes that it hands to a model's `build`.
WORLDS: dict[str, tuple[str, dict[str, Any], str, set[str]]] = {
    "autoencoder": ("moments", test_autoencoder.TASK, "select", {"grid", "size"}),
    "contrast": ("texts", test_contrast.TASK, "test", {"length", "size", "vocabulary"}),
    "embedding": ("embeddings", EMBEDDING, "test", {"gap", "history", "width"}),
    "future_masks": ("masks", test_masks.FUTURE, "test", {"ahead", "classes", "given", "height", "width"}),
    "latent_autoencoder": ("pictures", test_latent_autoencoder.TASK, "select", {"height", "width"}),
    "pixels": ("latents", test_pixels.TASK, "test", {"base", "given", "latent", "size", "width"}),
    "progress": (
        "texts", test_progress.TASK, "test", {"frames", "length", "longest", "templates", "vocabulary"},
    ),
    "segmentation": ("masks", test_masks.SEGMENT, "test", {"channels", "classes", "height", "width"}),
}  # fmt: skip
# Small networks for small samples; a model that is not here is built with the keys that it has by itself.
SMALL: dict[str, dict[str, Any]] = {
    "autoencoder_kl": test_latent_autoencoder.SMALL.model_dump(mode="json"),
    "blur_frame": {"candidates": [0.0, 1.0]},
    "clip": test_contrast.NET,
    "instruct_pix2pix": test_pixels.NET.model_dump(mode="json"),
    "pac_net": test_progress.NET.model_dump(mode="json"),
    "recurrent": {"cell": REQUIRED["cell"], "hidden": 8},
    "simvp": test_masks.SIMVP.model_dump(mode="json"),
    "openstl_simvp": test_masks.SIMVP.model_dump(mode="json"),
    "tiny_dino": {key: value for key, value in test_autoencoder.MODEL.items() if key != "name"},
    "tmdn": {"lags": [1, 3], "width": 16, "layers": 1, "heads": 2, "manifold": 4, "denoiser_width": 16},
    "unet": test_masks.UNET.model_dump(mode="json"),
}


def task_of(model: str) -> str:
    """The task whose shapes a model's `build` takes; one that takes any shape is a baseline of `pixels`."""
    taken = set(list(inspect.signature(components.load_model(model).build).parameters)[1:])
    return "pixels" if taken == {"shape"} else next(task for task, world in WORLDS.items() if world[3] == taken)


PAIRS = [(task_of(model), model) for model in components.names("models")]


def test_every_task_has_a_model_here() -> None:
    assert set(TASKS) == set(WORLDS) == {task for task, _ in PAIRS}


@pytest.mark.parametrize(("task", "model"), PAIRS)
def test_each_model_from_its_network_to_its_scores(task: str, model: str, request: Any) -> None:
    fixture, config, split, shape = WORLDS[task]
    module, stores = components.load_task(task), request.getfixturevalue(fixture)
    training, dataset = (module.dataset(config, stores, name) for name in ("train", split))
    network = built(module, config, training, {"name": model, **SMALL.get(model, {})}, shape)
    if any(True for _ in network.parameters()):
        chosen = np.linspace(0, len(training) - 1, 3).astype(int)
        check_loss(module, network, training.__getitems__(chosen.tolist()))
    network.eval()
    batch = dataset.__getitems__(range(len(dataset)))
    found = predicted(module, network, batch)
    rows, said = module.score(config, found, dataset)
    assert set(rows["sample_id"]) == set(found.sample_ids)
    assert {family(name) for name in rows["metric"]} <= set(METRICS)
    assert np.isfinite(rows["value"].to_numpy(float)).all()
    json.dumps(said)


def built(module: Any, config: dict[str, Any], training: Any, model: dict[str, Any], shape: set[str]) -> Any:
    """The network as a run makes it: facts through JSON, and fitted to the training split."""

    def core(**keys: Any) -> Any:
        assert set(keys) == shape
        return components.core(model)(**keys)

    facts = json.loads(json.dumps({**module.facts(config, training), **components.facts(model)}))
    torch.manual_seed(0)
    try:
        network = module.build(config, facts, core)
    except ImportError as error:
        if f"framecast.models.{model['name']}" not in OPTIONAL:
            raise
        pytest.skip(str(error))
    if fit := contract.hook(module, "fit"):
        fit(network, training)
    return network


def check_loss(module: Any, network: Any, batch: dict[str, Any]) -> None:
    """The loss is a finite float32 that reaches parameters; what monitors it has one value a sample."""
    network.train()
    parts = module.loss(network, batch, torch_generator(0, "loss"), 0.5)
    assert all(part.isfinite() for part in parts.values())
    assert parts["loss"].dtype == torch.float32 and parts["loss"].ndim == 0
    parts["loss"].backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)
    if monitor := contract.hook(module, "monitor"):
        network.eval()
        values = monitor(network, batch, torch_generator(0, "monitor"))
        assert all(len(value) == len(batch["sample_id"]) and value.isfinite().all() for value in values.values())


def predicted(module: Any, network: Any, batch: dict[str, Any]) -> Predictions:
    inference = module.Inference().model_dump(mode="json")
    inference |= {"steps": 2} if "steps" in inference else {}
    arrays = {
        name: value.numpy() for name, value in module.predict(network, batch, torch_generator(0), inference).items()
    }
    assert all(len(array) == len(batch["sample_id"]) for array in arrays.values())
    return Predictions(arrays, batch["sample_id"], [str(unit) for unit in batch["unit"]], {})


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_is(name: str) -> None:
    module = components.load_task(name)
    assert module.__doc__ and issubclass(module.Config, Closed) and issubclass(module.Inference, Closed)
    for model in (module.Config, module.Inference):
        assert {key for key, field in model.model_fields.items() if not field.description} == set()
    listed = {**vars(of_tasks.Required), **vars(of_tasks.Extra)}
    hooks = [value for key, value in vars(module).items() if key in listed and inspect.isfunction(value)]
    assert len(hooks) >= 7 and all(hook.__doc__ for hook in hooks)


@pytest.mark.parametrize("protocol", [of_tasks.Required, of_tasks.Extra, of_models.Required, of_models.Extra,
                                      *of_models.NETWORKS])  # fmt: skip
def test_every_hook_is_described(protocol: type) -> None:
    methods = [value.__func__ for value in vars(protocol).values() if isinstance(value, staticmethod)]
    assert protocol.__doc__ and all(method.__doc__ for method in methods)
    assert all("return" in method.__annotations__ for method in methods)


def test_the_stages_code_is_in_the_contract() -> None:
    """A stage whose list named a misspelt hook would miss its code in the fingerprint."""
    tasks, models = (contract._hooks(kind) for kind in ("tasks", "models"))
    for _, of_task, of_model in STAGE_CODE.values():
        assert set(of_task) <= set(tasks) and set(of_model) <= set(models)
    named = {name for _, of_task, _ in STAGE_CODE.values() for name in of_task}
    elsewhere = {"needs", "samples", "labels", "preview", "Config", "Inference", "EXPORT"}
    assert named | elsewhere == set(tasks), "a hook that no stage's code names would never re-run its job"


def test_a_task_and_its_wrapped_model_are_asked_for_listed_hooks_alone() -> None:
    embedding = components.load_task("embedding")
    assert contract.hook(embedding, "fit") is embedding.fit
    assert contract.hook(embedding, "gallery") is None and contract.hook(embedding, "EXPORT") is None
    assert contract.hook(torch.nn.Identity(), "sample") is None
    with pytest.raises(LookupError, match=r"'galery' is in no contract of tasks; did you mean 'gallery'\?"):
        contract.hook(embedding, "galery")
    with pytest.raises(LookupError, match=r"'smaple' is in no contract of networks; did you mean 'sample'\?"):
        contract.hook(torch.nn.Identity(), "smaple")


@pytest.fixture
def embedding(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A copy of a task's module, to be spoilt."""
    own = components.load_task("embedding")
    copy = types.ModuleType(own.__name__)
    vars(copy).update(vars(own))
    monkeypatch.setitem(sys.modules, own.__name__, copy)
    return copy


def here(module: types.ModuleType, function: Any) -> Any:
    function.__module__ = module.__name__
    return function


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("score", "scroe", "'scroe' is no hook of a task; did you mean 'score'?"),
        ("preview", "previews", "'previews' is no hook of a task; did you mean 'preview'?"),
        ("fit", "helper", "'helper' is no hook of a task; a helper's name begins with an underscore"),
        ("Config", "Confg", "'Config' is missing, which every task has; did you mean 'Confg'?"),
    ],
)
def test_a_misspelt_hook_is_refused(embedding: types.ModuleType, old: str, new: str, words: str) -> None:
    setattr(embedding, new, getattr(embedding, old))
    delattr(embedding, old)
    with pytest.raises(ConfigError) as refused:
        components.load_task("embedding")
    assert f"tasks/embedding.py: {words}" in str(refused.value)


def test_hooks_that_are_missing_or_take_something_else_are_refused(embedding: types.ModuleType) -> None:
    embedding.gallery = here(embedding, lambda config, predictions, dataset, count: None)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"gallery\(config, predictions, dataset, count\) should be gallery\(config"):
        components.load_task("embedding")
    embedding.gallery = components.load_task("pixels").gallery  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"the hook 'gallery' is imported from framecast.tasks.pixels; define it in"):
        components.load_task("embedding")
    del embedding.gallery, embedding.loss
    with pytest.raises(ConfigError, match=r"tasks/embedding.py: 'loss' is missing, which every task has"):
        components.load_task("embedding")


def test_models_are_held_to_their_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    mean = components.load_model("mean")
    monkeypatch.setattr(mean, "fact", here(mean, lambda config: {}), raising=False)
    contract.check.cache_clear()
    with pytest.raises(ConfigError, match=r"models/mean.py: 'fact' is no hook of a model; did you mean 'facts'\?"):
        components.load_model("mean")


# --- what is needed --------------------------------------------------------------------------------------------------


def test_needs_survive_the_plan() -> None:
    source = SourceExperiment("unet", 3, ("unlabeled",), select=True)
    needs = Needs((("native", "small"),), ("tiny",), masks=True, sources=(source,), networks=("tiny",))
    experiment = {"needs": json.loads(json.dumps(needs.to_json()))}
    assert Needs.of(experiment) == needs
    with pytest.raises(TypeError, match="encoders"):
        Needs.from_json({**experiment["needs"], "encoders": []})


@pytest.mark.parametrize("name", TASKS)
def test_needs_are_typed(name: str) -> None:
    assert isinstance(components.load_task(name).needs(WORLDS[name][1]), Needs)
