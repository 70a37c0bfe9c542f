# SPDX-License-Identifier: Apache-2.0
"""The base of every model: networks, optimizers, and the one way to update them.

A family writes `train_step` and `eval_step` and its losses; `update` alone knows about mixed
precision, loss scaling, gradient clipping, averaging over processes and the optimizer's step.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import paddle
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.modes import evaluating
from ppzoo.registry import CRITERIONS, DISCRIMINATORS, GENERATORS, LRSCHEDULERS, OPTIMIZERS, build

Batch = Mapping[str, Any]
Logs = dict[str, paddle.Tensor]
# What a constructor takes where the YAML has a nested mapping: the registry builds it first.
Generator = Annotated[nn.Layer, GENERATORS]
Discriminator = Annotated[nn.Layer, DISCRIMINATORS]
Criterion = Annotated[nn.Layer, CRITERIONS]


_NEVER = 2**31 - 1


class Nets(dict[str, nn.Layer]):
    """Networks by name, also as attributes: `nets["netG"]` is `nets.netG`."""

    def __getattr__(self, name: str) -> nn.Layer:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no network is named {name!r}, only {sorted(self)}") from None


@dataclasses.dataclass
class Precision:
    """How forward passes and gradients are computed.

    On a CPU Paddle computes in float32 whatever the level.

    Args:
        level: `O0` full float32, `O1` mixed precision by operator, `O2` nearly all low precision.
        dtype: the low precision.
    """

    level: Literal["O0", "O1", "O2"] = "O0"
    dtype: Literal["float16", "bfloat16"] = "float16"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which forward passes run."""
        if self.level == "O0":
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(level=self.level, dtype=self.dtype)

    def scaler(self) -> paddle.amp.GradScaler | None:
        """Return a loss scaler, which only float16 needs."""
        if self.level == "O0" or self.dtype != "float16":
            return None
        return paddle.amp.GradScaler(init_loss_scaling=1024.0, decr_every_n_nan_or_inf=_NEVER)


class Model:
    """What the trainer trains.

    A subclass fills `self.nets` in its constructor, names its networks and optimizers in `NETS`
    and `OPTIMIZERS` (they are checkpoint keys, PaddleGAN's), and implements the steps. A step
    stores nothing on the model, so it can be called from anywhere in any order.
    """

    NETS: ClassVar[tuple[str, ...]] = ()
    OPTIMIZERS: ClassVar[tuple[str, ...]] = ()
    # Keys of `lr_scheduler` for a model that reads other ones than registered schedules do.
    LR_SCHEDULER_ARGS: ClassVar[tuple[str, ...]] = ()
    # Whether the config may give one optimizer, without a name, that stands for all of them.
    ONE_OPTIMIZER_SECTION: ClassVar[bool] = False

    def __init__(self) -> None:
        self.nets = Nets()
        self.optimizers: dict[str, Any] = {}
        self.trained_parameters: dict[str, list[paddle.Tensor]] = {}
        self.lr_schedulers: dict[str, Any] = {}
        self.scalers: dict[str, Any] = {}
        self.precision = Precision()
        self.iteration = 0  # of the step to come or under way, counted from 0; the trainer sets it
        # Averages the gradients of a list of parameters over processes; the trainer sets it.
        self.reduce_gradients: Callable[[Sequence[paddle.Tensor]], None] | None = None

    def train_step(self, batch: Batch) -> Logs:
        """Update the networks from one batch and return the losses by name, scalars."""
        raise AttributeError(f"{type(self).__name__} does not train: it has no train_step")

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return named outputs for metrics, such as `fake` and `real`, without gradients."""
        raise AttributeError(f"{type(self).__name__} has no eval_step")

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> Mapping[str, paddle.Tensor]:
        """Return labelled pictures [N, C, H, W] of an evaluated batch, for `visual_test`.

        Labels are parts of names of files, those of PaddleGAN. What is no picture is left out.

        Args:
            batch: what `eval_step` was given.
            outputs: what it returned.
        """
        return outputs

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return labelled pictures [N, C, H, W] that show the state of training."""
        return {}

    def extra_state(self) -> dict[str, Any]:
        """Return what else a resumed run needs, in arrays and containers: a pool of pictures..."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` returned."""

    def setup_lr_schedulers(self, spec: Any, **supplied: Any) -> dict[str, Any]:
        """Build the schedule that all optimizers share.

        Args:
            spec: a component, see `ppzoo.registry.build`.
            supplied: arguments that the trainer knows, such as `iters_per_epoch`.
        """
        self.lr_schedulers = {"lr": build(LRSCHEDULERS, spec, **supplied)}
        return self.lr_schedulers

    def setup_optimizers(self, specs: Mapping[str, tuple[Any, Sequence[str] | None]]) -> None:
        """Build the optimizers.

        Args:
            specs: for each optimizer's name its component and the names of the networks that it
                trains (None: all of them).

        Raises:
            ConfigError: a network that this model does not have.
        """
        for name, (spec, net_names) in specs.items():
            for net_name in net_names or ():
                if net_name not in self.nets:
                    raise ConfigError(
                        f"optimizer.{name}.net_names: {type(self).__name__} has no network "
                        f"{net_name!r}, only {', '.join(self.nets)}"
                    )
            parameters = [
                parameter
                for net_name in net_names or self.nets
                for parameter in self.parameters_of(net_name)
            ]
            self.trained_parameters[name] = parameters
            self.optimizers[name] = build(
                OPTIMIZERS, spec, learning_rate=self.schedule_of(name), parameters=parameters
            )

    def schedule_of(self, optimizer: str) -> Any:
        """Return the learning-rate schedule of an optimizer; here all have the same."""
        return self.lr_schedulers["lr"]

    def parameters_of(self, net_name: str) -> list[paddle.Tensor]:
        """Return a network's parameters in the order in which its optimizer gets them.

        Those that are the first to learn must come first: an optimizer that goes on from a
        checkpoint looks for the state of each parameter until it has found all that there is.
        """
        return self.nets[net_name].parameters()

    def weights_to_start_from(
        self, net_name: str, arrays: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return a network's weights for those of a file that a training starts from.

        They are the same, but for a family whose stages have different networks.

        Args:
            net_name: the network.
            arrays: by parameter, as the file has them.
        """
        return arrays

    def setup_precision(self, precision: Precision) -> None:
        """Switch mixed precision on; call it after the optimizers are built."""
        self.precision = precision
        if precision.level == "O2":
            names, optimizers = list(self.nets), list(self.optimizers.values())
            nets, optimizers = paddle.amp.decorate(
                models=[self.nets[name] for name in names],
                optimizers=optimizers,
                level="O2",
                dtype=precision.dtype,
            )
            self.nets.update(zip(names, nets, strict=True))
            self.optimizers.update(zip(self.optimizers, optimizers, strict=True))
        scalers = {name: precision.scaler() for name in self.optimizers}
        self.scalers = {name: scaler for name, scaler in scalers.items() if scaler is not None}

    def update(
        self,
        optimizer: str | Sequence[str],
        loss: Callable[..., tuple[paddle.Tensor, Logs]],
        *args: Any,
        frozen: Sequence[str] = (),
    ) -> Logs:
        """Take one step of an optimizer, or of several, down the gradient of a loss.

        Args:
            optimizer: its name in the config, or several names.
            loss: computes `(total, logs)` from `args`; the gradient of `total` is followed.
            args: what the loss needs.
            frozen: networks whose weights get no gradient meanwhile, to save the work.

        Returns:
            The logs, detached.
        """
        names = (optimizer,) if isinstance(optimizer, str) else tuple(optimizer)
        # One loss has one scale.
        scaler = self.scalers.get(names[0])
        with self._frozen(frozen):
            with self.precision.autocast():
                total, logs = loss(*args)
            for name in names:
                self.optimizers[name].clear_grad()
            (total if scaler is None else scaler.scale(total)).backward()
        if self.reduce_gradients is not None:
            for name in names:
                self.reduce_gradients(self.trained_parameters[name])
        if scaler is None:
            for name in names:
                self.optimizers[name].step()
        else:
            # A scaler remembers only whether the last gradients that it saw were finite; those of
            # another optimizer must not make it forget an overflow, and step alone.
            for name in self._overflown(names, scaler) or names:
                scaler.step(self.optimizers[name])
            _update_scale(scaler)
        return {name: value.detach() for name, value in logs.items()}

    def step_lr_schedulers(self) -> None:
        """Advance every schedule by one iteration."""
        for scheduler in self.lr_schedulers.values():
            scheduler.step()

    def train(self) -> None:
        """Put all networks into training mode."""
        for net in self.nets.values():
            net.train()

    def eval(self) -> None:
        """Put all networks into evaluation mode."""
        for net in self.nets.values():
            net.eval()

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Look at the networks inside the context; see `ppzoo.nn.modes.evaluating`."""
        # Weights in low precision cannot meet float32 inputs without; others are exact without.
        low = self.precision.level == "O2"
        autocast = self.precision.autocast() if low else contextlib.nullcontext()
        with evaluating(*self.nets.values()), autocast:
            yield

    def _overflown(self, names: Sequence[str], scaler: Any) -> list[str]:
        """Return which of several optimizers have gradients that are not finite."""
        if len(names) == 1 or not scaler.is_enable():
            return []
        return [name for name in names if not _all_finite(self.trained_parameters[name])]

    @contextlib.contextmanager
    def _frozen(self, names: Sequence[str]) -> Iterator[None]:
        parameters = [
            p for name in names for p in self.nets[name].parameters() if not p.stop_gradient
        ]
        for parameter in parameters:
            parameter.stop_gradient = True
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.stop_gradient = False


def _all_finite(parameters: Sequence[paddle.Tensor]) -> bool:
    """Return whether all gradients that parameters have are finite."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    finite = [paddle.isfinite(gradient).all() for gradient in gradients]
    return not finite or bool(paddle.stack(finite).all())


def _update_scale(scaler: Any) -> None:
    """Let the scale of a loss grow after many steps, or fall after an overflow."""
    # Paddle 3.3 prints the scale when it falls, which raises a TypeError with today's NumPy: so it
    # falls here. A state from a checkpoint may say otherwise.
    scaler.set_decr_every_n_nan_or_inf(_NEVER)
    scaler.update()
    state = scaler.state_dict()
    if state.get("decr_count"):
        lower = {"scale": state["scale"] * state["decr_ratio"], "decr_count": 0}
        scaler.load_state_dict(state | lower)
