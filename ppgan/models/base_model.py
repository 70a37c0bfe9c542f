# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's base of models, for classes of one's own, which ppzoo's trainer trains."""

from __future__ import annotations

import abc
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import paddle

from ppzoo.apps.inference import save_traced
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
        for name in ("setup_lr_schedulers", "setup_optimizers", "setup_metrics"):
            if name in vars(cls):
                raise ConfigError(
                    f"{cls.__name__} has a `{name}` of its own, which ppzoo's trainer calls "
                    "otherwise than PaddleGAN's: docs/migrating.md says how to write a model"
                )

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
            export_model: the config's section: for each network its name and its number of inputs.
            output_dir: the folder, `inference_model` by default.
            inputs_size: the shape of each input of all networks, in turn; -1 for any side.
            export_serving_model: not available.
            model_name: instead of the names by default; for one network.

        Raises:
            ConfigError: the config exports nothing, shapes are missing, or Paddle Serving is asked
                for.
        """
        if export_serving_model:
            raise ConfigError("export_serving_model needs Paddle Serving, which ppzoo does not use")
        items = [item for item in export_model or () if item]
        needed = sum(item["inputs_num"] for item in items)
        if not items or len(inputs_size) != needed:
            raise ConfigError(
                f"the config's export_model has {len(items)} networks with {needed} inputs, "
                f"and there are {len(inputs_size)} shapes of inputs"
            )
        folder = Path(output_dir or "inference_model")
        folder.mkdir(parents=True, exist_ok=True)
        sizes = iter([[None if side < 0 else side for side in size] for size in inputs_size])
        for item in items:
            stem = model_name or f"{type(self).__name__.lower()}_{item['name']}"
            shapes = [next(sizes) for _ in range(item["inputs_num"])]
            save_traced(self.nets[item["name"]], shapes, folder / stem)


def refuse_what_nobody_calls(model: Model) -> None:
    """Refuse a model of ppzoo's that a script has given steps as PaddleGAN's models have them.

    Raises:
        ConfigError: it has.
    """
    for name in ("setup_input", "train_iter", "test_iter"):
        if hasattr(model, name) and not isinstance(model, BaseModel):
            raise ConfigError(
                f"{type(model).__name__} has a `{name}`, which ppzoo's models do not call: "
                "docs/migrating.md says how to write a model"
            )


def with_methods(model: Model) -> Model:
    """Give a model of ppzoo's the methods that scripts call on models which they build.

    Raises:
        ConfigError: see `refuse_what_nobody_calls`.
    """
    refuse_what_nobody_calls(model)
    for method in (BaseModel.setup_train_mode, BaseModel.export_model):
        if not hasattr(model, method.__name__):
            setattr(model, method.__name__, types.MethodType(method, model))
    return model


def _scalar(value: Any) -> paddle.Tensor:
    tensor = value if isinstance(value, paddle.Tensor) else paddle.to_tensor(float(value))
    return tensor.detach().mean()
