# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's base of models, for classes of one's own, which ppzoo's trainer trains."""

from __future__ import annotations

import abc
import types
from collections.abc import Mapping, Sequence
from typing import Any

import paddle

from ppzoo import registry
from ppzoo.config.schema import ExportItem
from ppzoo.errors import ConfigError
from ppzoo.model import Batch, Logs, Model
from ppzoo.nn.modes import evaluating


class BaseModel(Model, abc.ABC):
    """A model that takes its steps itself, as PaddleGAN's do.

    A subclass fills `nets`, takes a batch in `setup_input`, and in `train_iter` computes losses and
    steps the optimizers, which it gets by the names of the config: `optim` where there is one
    without a name. It runs in one process and in full precision. Metrics look at what is in
    `visual_items` after `test_iter`: PSNR and SSIM at `output` and `gt`, others as ppzoo's do.

    Args:
        params: with `is_train`, if anything.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = ("setup_lr_schedulers", "setup_optimizers", "setup_metrics")
        refuse_overridden(cls, BaseModel, names)

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.params = params
        self.is_train = (params or {}).get("is_train", True)
        self.losses: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.visual_items: dict[str, paddle.Tensor] = {}

    @abc.abstractmethod
    def setup_input(self, input: Batch) -> None:
        """Keep what is needed of a batch."""

    @abc.abstractmethod
    def forward(self) -> None:
        """Compute outputs of the batch."""

    @abc.abstractmethod
    def train_iter(self, optims: Any = None) -> None:
        """Update the networks by the batch, and keep the losses by name in `losses`."""

    def test_iter(self, metrics: Any = None) -> None:
        """Look at the batch: `forward` in evaluation mode and without gradients.

        Args:
            metrics: None; ppzoo's evaluation has them.
        """
        with evaluating(*self.nets.values()):
            self.forward()

    def set_total_iter(self, total_iter: int) -> None:
        """Take note of how many steps the training has; `train` of the trainer tells."""
        self.total_iter = total_iter

    def get_image_paths(self) -> Sequence[str]:
        """Return the paths of the batch's pictures, if `setup_input` has kept them."""
        return getattr(self, "image_paths", [])

    def setup_metrics(self, cfg: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics that a config describes by name, for scripts that evaluate."""
        self.metrics = {name: registry.build(registry.METRICS, spec) for name, spec in cfg.items()}
        return self.metrics

    def compute_visuals(self) -> None:
        """Put further pictures into `visual_items`."""

    def get_current_losses(self) -> dict[str, Any]:
        """Return the losses by name."""
        return self.losses

    def get_current_visuals(self) -> dict[str, paddle.Tensor]:
        """Return pictures by name."""
        return self.visual_items

    def set_requires_grad(self, nets: Any, requires_grad: bool = False) -> None:
        """Let networks have gradients or not.

        Args:
            nets: one or a list.
            requires_grad: whether they have.
        """
        for net in nets if isinstance(nets, (list, tuple)) else [nets]:
            for parameter in net.parameters() if net is not None else ():
                parameter.trainable = requires_grad

    def train_step(self, batch: Batch) -> Logs:
        """Call `setup_input` and `train_iter`, and return the losses.

        Raises:
            ConfigError: there are several processes, or mixed precision is asked for.
        """
        kind = type(self).__name__
        if self.reduce_gradients is not None:
            raise ConfigError(f"{kind} steps its optimizers itself: it trains in one process only")
        if self.precision.level != "O0":
            raise ConfigError(f"{kind} steps its optimizers itself: it trains without --amp only")
        self.setup_input(batch)
        self.train_iter(self.optimizers)
        return {name: _scalar(value) for name, value in self.get_current_losses().items()}

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Call `setup_input` and `test_iter`, and return the pictures."""
        self.setup_input(batch)
        self.test_iter(metrics=None)
        return dict(self.get_current_visuals())

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return the pictures of the batch that was trained last."""
        self.compute_visuals()
        return dict(self.get_current_visuals())

    def setup_train_mode(self, is_train: bool) -> None:
        """Put the networks into training or evaluation mode."""
        self.is_train = is_train
        (self.train if is_train else self.eval)()

    def export_model(
        self,
        export_model: Sequence[Mapping[str, Any]] | None,
        output_dir: str | None = None,
        inputs_size: Sequence[Sequence[int]] = (),
        export_serving_model: bool = False,
        model_name: str | None = None,
    ) -> None:
        """Write networks as programs for Paddle Inference, `<model>_<net>.*` in a folder.

        Args:
            export_model: the config's section: for each network its name and its number of inputs;
                by default the generators.
            output_dir: the folder, `inference_model` by default.
            inputs_size: the shape of each input of all networks, in turn; -1 for any side.
            export_serving_model: not available.
            model_name: instead of the names by default; of several networks, their beginning.

        Raises:
            ConfigError: a network is not there, shapes are missing, or Paddle Serving is asked for.
            UserError: a network cannot be traced or written.
        """
        from ppzoo.apps import export

        if export_serving_model:
            raise ConfigError("export_serving_model needs Paddle Serving, which ppzoo does not use")
        try:
            items = [ExportItem(**item) for item in export_model or () if item]
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"export_model should list networks by name and inputs_num, got {export_model!r}"
            ) from error
        sizes = [tuple(None if side < 0 else side for side in size) for size in inputs_size]
        export.export_model(self, sizes, items, output_dir or export.OUTPUT_DIR, model_name)


def refuse_overridden(cls: type, base: type, names: Sequence[str]) -> None:
    """Refuse a class with methods of its own that nothing here would call.

    Raises:
        ConfigError: it has.
    """
    for name in names:
        if getattr(cls, name, None) is not getattr(base, name, None):
            raise ConfigError(
                f"{cls.__name__} has a `{name}` of its own, which ppzoo's training does not call: "
                "docs/migrating.md says how to write a model"
            )


class _Looking:
    """What scripts call on a model of ppzoo's, besides methods of `BaseModel`, to look at a batch.

    Its labels of pictures are those of `eval_step`, which metrics look at.
    """

    visual_items: Mapping[str, paddle.Tensor]

    def setup_input(self, input: Batch) -> None:
        self._input = input

    def test_iter(self, metrics: Any = None) -> None:
        if metrics:
            raise ConfigError(
                "test_iter takes no metrics: give their `update` what get_current_visuals returns"
            )
        self.visual_items = self.eval_step(self._input)

    def get_current_visuals(self) -> Mapping[str, paddle.Tensor]:
        return getattr(self, "visual_items", {})

    def forward(self) -> None:
        raise ConfigError(f"{type(self).__name__} has no forward: test_iter looks at the batch")

    def train_iter(self, optims: Any = None) -> None:
        raise ConfigError(
            f"{type(self).__name__} has no train_iter: ppgan.engine.trainer.Trainer trains it, "
            "and `train_step(batch)` is one step of that"
        )


_METHODS = (
    BaseModel.setup_train_mode,
    BaseModel.set_requires_grad,
    BaseModel.export_model,
    _Looking.setup_input,
    _Looking.test_iter,
    _Looking.get_current_visuals,
    _Looking.forward,
    _Looking.train_iter,
)


def with_methods(model: Model) -> Model:
    """Give a model of ppzoo's the methods that scripts call on models which they build.

    Raises:
        ConfigError: a script has given it steps as PaddleGAN's models have them, which nobody
            would call.
    """
    if isinstance(model, BaseModel):
        return model
    for name in ("setup_input", "train_iter", "test_iter"):
        if hasattr(type(model), name):
            raise ConfigError(
                f"{type(model).__name__} has a `{name}`, which ppzoo's models do not call: "
                "docs/migrating.md says how to write a model"
            )
    for method in _METHODS:
        if not hasattr(model, method.__name__):
            setattr(model, method.__name__, types.MethodType(method, model))
    return model


def _scalar(value: Any) -> paddle.Tensor:
    tensor = value if isinstance(value, paddle.Tensor) else paddle.to_tensor(float(value))
    return tensor.detach().mean()
