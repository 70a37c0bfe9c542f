# SPDX-License-Identifier: Apache-2.0
"""Compare the components of a config with the classes that they name, before any is built."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ppzoo.config.annotations import choices, described, fits, item_hint, parameter_hints
from ppzoo.config.problems import Problem, raise_problems, shown, suggest_or_list
from ppzoo.config.schema import LOADER_KEYS, Component, TrainConfig, plain
from ppzoo.errors import NotHereYetError, UnknownNameError
from ppzoo.paddlegan_names import has_name, lacking
from ppzoo.registry import (
    CRITERIONS,
    DATASETS,
    DISCRIMINATORS,
    GENERATORS,
    LRSCHEDULERS,
    METRICS,
    MODELS,
    OPTIMIZERS,
    PREPROCESS,
    TRANSFORMS,
    Registry,
    component_registries,
    suggest,
    supplied_names,
)

# Arguments that the trainer supplies, and what to write instead of them.
RESERVED = {
    "optimizer": {
        "learning_rate": "its rate comes from lr_scheduler; set lr_scheduler.learning_rate",
        "parameters": "its parameters come from 'net_names'",
    },
}
SUPPLIED = {"optimizer": ("learning_rate", "parameters"), "lr_scheduler": ("iters_per_epoch",)}
# What the arguments of models are looked up in.
NESTED = (GENERATORS, DISCRIMINATORS, CRITERIONS)
ALL = (MODELS, *NESTED, DATASETS, PREPROCESS, TRANSFORMS, METRICS, OPTIMIZERS, LRSCHEDULERS)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_config(config: TrainConfig) -> None:
    """Check every component against the signature of its class, recursively; build nothing.

    Unknown names, unknown, missing and mistyped arguments, and values outside a `Literal` are
    mistakes, and so are names of networks and optimizers that the model does not declare in
    `NETS` and `OPTIMIZERS`, if it does declare any. A model that reads other keys of
    `lr_scheduler` than a registered scheduler does declares them in `LR_SCHEDULER_ARGS`. One that
    makes all its optimizers of a single section without names says so by `ONE_OPTIMIZER_SECTION`.

    Raises:
        NotHereYetError: nothing is wrong but that PaddleGAN has what the config names, and ppzoo
            does not have it yet.
        ConfigError: lists all problems, one a line, each with its file and line. A model that
            neither ppzoo nor PaddleGAN has is the only one reported.
    """
    raise_problems(find_problems(config))


def find_problems(config: TrainConfig) -> list[Problem]:
    """Return what `check_config` would complain about."""
    checker = _Checker(config)
    model = checker.find(config.model, MODELS)
    if model is None and not checker.lacking:
        return checker.problems
    if model is None:
        checker.unknown_family(config.model.kwargs)
    else:
        checker.component(config.model, MODELS)
    for data in (config.dataset.train, config.dataset.test):
        if data is not None:
            checker.component(data.component, DATASETS, also=LOADER_KEYS)
    for metric in (config.validation.metrics if config.validation else {}).values():
        checker.component(metric, METRICS)
    for optimizer in config.optimizer.values():
        checker.component(optimizer.component, OPTIMIZERS, "optimizer", also=("net_names",))
    checker.lr_scheduler(model)
    checker.declared_names(model)
    return checker.problems + checker.gaps()


def takes_mapping(name: str, argument: str) -> bool:
    """Whether a component's class has an argument that may be a mapping of values.

    Args:
        name: the component's; one that is not registered has no arguments.
        argument: of its class.
    """
    found = (hints.get(argument) for hints in _hints_of(name))
    return any(hint is not None and item_hint({}, hint) is not None for hint in found)


def arguments_of(name: str) -> list[str]:
    """Return the arguments of the classes that are registered under a name."""
    return list(dict.fromkeys(key for hints in _hints_of(name) for key in hints))


def _hints_of(name: str) -> Iterator[dict[str, Any]]:
    """Yield the annotations of the arguments of every class that has a name."""
    for registry in ALL:
        if name in registry:
            with contextlib.suppress(ValueError):  # some classes written in C have no signature
                yield parameter_hints(registry.get(name))


class _Checker:
    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.problems: list[Problem] = []
        self.lacking: dict[str, Component] = {}

    def problem(self, where: str, text: str) -> None:
        self.problems.append(Problem(self.config.origin(where), where, text))

    def find(self, component: Component, registry: Registry) -> Callable[..., Any] | None:
        """Return the class of a component; note that it is PaddleGAN's or a problem, if none."""
        try:
            return registry.get(component.name)
        except NotHereYetError:
            self.lacking.setdefault(component.name, component)
            return None
        except UnknownNameError:
            origin = self.config.origin(f"{component.where}.name")
            hint = suggest_or_list(component.name, registry)
            text = f"no {registry.label} is named {component.name!r}{hint}"
            self.problems.append(Problem(origin, component.where, text))
            return None

    def gaps(self) -> list[Problem]:
        """Return one problem for all that PaddleGAN has and ppzoo does not, none if there is none.

        The model comes first, which the others come with.
        """
        if not self.lacking:
            return []
        names = tuple(self.lacking)
        where = f"{self.lacking[names[0]].where}.name"
        return [Problem(self.config.origin(where), where, lacking(names), names)]

    def unknown_family(self, value: Any) -> None:
        """Check the components in the arguments of a model that ppzoo does not have."""
        if isinstance(value, Component):
            known = [registry for registry in NESTED if value.name in registry]
            theirs = [registry for registry in NESTED if has_name(registry.label, value.name)]
            for registry in known[:1] or theirs[:1]:
                self.component(value, registry)
            if not known:
                self.unknown_family(value.kwargs)
            if not known and not theirs:
                kinds = ", ".join(registry.label for registry in NESTED)
                close = suggest(value.name, [name for registry in NESTED for name in registry])
                self.problem(
                    f"{value.where}.name", f"none of {kinds} is named {value.name!r}{close}"
                )
        elif isinstance(value, (list, Mapping)):
            for item in value.values() if isinstance(value, Mapping) else value:
                self.unknown_family(item)

    def component(
        self,
        component: Component,
        registry: Registry,
        kind: str = "",
        also: Collection[str] = (),
        supplied: Collection[str] = (),
    ) -> None:
        """Check a component and those nested in it.

        Args:
            component: what to check.
            registry: where its name is looked up.
            kind: the section that it stands in, if code supplies some of its arguments.
            also: further keys that the section takes, for suggestions.
            supplied: arguments that the owner of the component adds.
        """
        target = self.find(component, registry)
        if target is None:
            return
        try:
            parameters = inspect.signature(target).parameters
        except ValueError:  # some classes written in C have no signature
            return
        named = {name: p for name, p in parameters.items() if p.kind in _NAMED}
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        hints = parameter_hints(target)
        nested = component_registries(target)
        supplied = (*SUPPLIED.get(kind, ()), *supplied)
        for key, value in component.kwargs.items():
            where = f"{component.where}.{key}"
            if key in RESERVED.get(kind, ()):
                self.problem(
                    where, f"{component.name} does not take it here: {RESERVED[kind][key]}"
                )
            elif key in named:
                if value is not None or named[key].default is not None:
                    hint = hints.get(key, Any)
                    self._value(component.name, where, value, hint, nested.get(key))
            elif not takes_any:
                hidden = ("name", *supplied)
                known = [name for name in (*named, *also) if name not in hidden]
                self._unknown(component, key, known)
        for name, parameter in named.items():
            given = name in component.kwargs or name in supplied
            if parameter.default is parameter.empty and not given:
                self.problem(component.where, f"{component.name} needs the argument {name!r}")

    def lr_scheduler(self, model: Any) -> None:
        """Check the learning-rate scheduler, whose keys a family may define itself."""
        section, own = self.config.lr_scheduler, getattr(model, "LR_SCHEDULER_ARGS", ())
        if own:
            kwargs = section.kwargs if isinstance(section, Component) else section or {}
            for key in kwargs:
                if key not in own:
                    hint = suggest_or_list(key, own)
                    self.problem(
                        f"lr_scheduler.{key}", f"{self.config.model.name} has no such option{hint}"
                    )
        elif isinstance(section, Component):
            self.component(section, LRSCHEDULERS, "lr_scheduler")
        elif section is not None or self.config.optimizer:
            known = ", ".join(LRSCHEDULERS)
            self.problem("lr_scheduler", f"needs a 'name'; known are {known}")

    def declared_names(self, model: Any) -> None:
        """Check names of networks and optimizers against those that the model declares."""
        config = self.config
        nets, optimizers = getattr(model, "NETS", ()), getattr(model, "OPTIMIZERS", ())
        uses = {
            optimizer.component.where + ".net_names": optimizer.net_names or ()
            for optimizer in config.optimizer.values()
        }
        if config.ema is not None:
            uses["ema.nets"] = config.ema.nets or ()
        uses["export_model"] = [item.name for item in config.export_model]
        for where, names in uses.items():
            for name in names:
                if nets and name not in nets:
                    hint = suggest_or_list(name, nets)
                    self.problem(where, f"{config.model.name} has no network {name!r}{hint}")
        if not optimizers or not config.optimizer:
            return
        if getattr(model, "ONE_OPTIMIZER_SECTION", False) and list(config.optimizer) == ["optim"]:
            return
        missing = [name for name in optimizers if name not in config.optimizer]
        for name, optimizer in config.optimizer.items():
            if name not in optimizers:
                hint = suggest_or_list(name, missing or optimizers)
                self.problem(
                    optimizer.component.where,
                    f"{config.model.name} has no optimizer {name!r}{hint}",
                )
        for name in missing:
            self.problem("optimizer", f"{config.model.name} needs an optimizer {name!r}")

    def _unknown(self, component: Component, key: str, known: list[str]) -> None:
        hint = suggest_or_list(key, known, "it takes")
        # The key is named in the sentence, so the path is the component's.
        origin = self.config.origin(f"{component.where}.{key}")
        text = f"{component.name} has no argument {key!r}{hint}"
        self.problems.append(Problem(origin, component.where, text))

    def _value(
        self, owner: str, where: str, value: Any, hint: Any, registry: Registry | None
    ) -> None:
        """Check a value of an argument of `owner`, and the components in it."""
        inner = None if registry is None else item_hint(value, hint)
        if registry is not None and isinstance(value, Component) and fits(value, hint):
            self.component(value, registry, supplied=supplied_names(hint))
        elif inner is not None:
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, item in items:
                self._value(owner, f"{where}.{key}", item, inner, registry)
        elif not fits(value, hint):
            close = suggest(value, choices(hint)) if isinstance(value, str) else ""
            got = shown(plain(value))
            self.problem(where, f"{owner} takes {described(hint)}, got {got}{close}")
