# SPDX-License-Identifier: Apache-2.0
"""Names that a YAML can say, and the classes they stand for.

A class registers itself where it is defined:

    @GENERATORS.register()
    class UnetGenerator(nn.Layer): ...

and takes other components as built objects. The annotation of a parameter says which registry a
nested mapping of the YAML is looked up in, so that the signature is the whole truth:

    @MODELS.register()
    class Pix2PixModel(Model):
        def __init__(self, generator: Annotated[nn.Layer, GENERATORS], ...) -> None: ...
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ppzoo import paddlegan_names
from ppzoo.errors import NotHereYetError, UnknownNameError

T = TypeVar("T", bound=Callable[..., Any])
M = TypeVar("M")


@dataclasses.dataclass(frozen=True)
class Supplied:
    """In an annotation beside a registry: the owner builds the component itself.

    The owner gets a function that builds it, and calls it with the arguments named here:

        generator: Annotated[Callable[..., nn.Layer], GENERATORS, Supplied("common_params")]
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


# Packages whose modules register something when imported. They are imported by name at the first
# look-up, so that this module stands to the left of all of them.
PACKAGES = (
    "ppzoo.networks",
    "ppzoo.losses",
    "ppzoo.metrics",
    "ppzoo.data",
    "ppzoo.optim",
    "ppzoo.gan",
    "ppzoo.translation",
    "ppzoo.restoration",
    "ppzoo.video",
    "ppzoo.motion",
    "ppzoo.lipsync",
)


class Registry:
    """A mapping from registered names to classes or functions.

    Args:
        label: what the registry holds, as error messages say it ("generator").
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, obj: T | None = None, name: str | None = None) -> Any:
        """Register a class or function, as a decorator or as a plain call.

        Args:
            obj: what to register; absent when used as `@R.register()`.
            name: the name to register under, the object's own name by default.

        Raises:
            ValueError: the name is taken.
        """
        if obj is None:
            return lambda decorated: self.register(decorated, name)
        key = name or obj.__name__
        if key in self._entries:
            raise ValueError(f"the {self.label} {key!r} is registered already")
        self._entries[key] = obj
        return obj

    def get(self, name: str) -> Callable[..., Any]:
        """Return what is registered under `name`.

        Raises:
            NotHereYetError: nothing is, but PaddleGAN has it.
            UnknownNameError: nothing is; the message suggests names that are close.
        """
        _import_packages()
        try:
            return self._entries[name]
        except KeyError:
            if paddlegan_names.has_name(self.label, name):
                raise NotHereYetError(paddlegan_names.lacking([name]), (name,)) from None
            raise UnknownNameError(
                f"no {self.label} is named {name!r}{suggest(name, self)}"
            ) from None

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        _import_packages()
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        _import_packages()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"Registry({self.label!r}, {len(self._entries)} entries)"


MODELS = Registry("model")
GENERATORS = Registry("generator")
DISCRIMINATORS = Registry("discriminator")
CRITERIONS = Registry("criterion")
DATASETS = Registry("dataset")
PREPROCESS = Registry("preprocess step")
TRANSFORMS = Registry("transform")
METRICS = Registry("metric")
OPTIMIZERS = Registry("optimizer")
LRSCHEDULERS = Registry("learning-rate scheduler")


def suggest(name: str, known: Any) -> str:
    """Return "; did you mean 'x'?" for the closest known name, or an empty text."""
    close = closest(name, known)
    return f"; did you mean {close!r}?" if close else ""


def closest(name: str, known: Any) -> str | None:
    """Return the known name that is most like another, None if none is like it."""
    known = [str(k) for k in known]
    close = [k for k in known if k.lower() == str(name).lower()]
    close = close or difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return close[0] if close else None


@functools.cache
def component_registries(target: Callable[..., Any]) -> dict[str, Registry]:
    """Return, for each parameter of `target` that takes components, the registry of their names.

    A parameter does if its annotation holds `Annotated[..., REGISTRY]`, alone, optional, or as
    the item of a list or mapping.
    """
    hints = _hints(target)
    found = {name: _found_in(hint, Registry) for name, hint in hints.items()}
    return {name: registry for name, registry in found.items() if registry is not None}


def build(registry: Registry, spec: Any, **extra: Any) -> Any:
    """Build the component that `spec` describes, and the components nested in it.

    Args:
        registry: where the name is looked up.
        spec: a `ppzoo.config.Component`, or a mapping with a `name` and keyword arguments.
        extra: more keyword arguments, which win over those of `spec`.

    Raises:
        UnknownNameError: a name that the registry does not hold.
        TypeError: arguments that the class does not take.
    """
    name, kwargs = _split(spec)
    target = registry.get(name)
    nested = component_registries(target)
    hints = _hints(target)
    built = {}
    for key, value in kwargs.items():
        if key in extra:
            continue
        if key not in nested:
            built[key] = _plain(value)
        else:
            later = _found_in(hints[key], Supplied) is not None
            built[key] = _build_value(nested[key], value, later)
    return target(**built, **extra)


def supplied_names(hint: Any) -> tuple[str, ...]:
    """Return the arguments that the owner of an annotated component supplies."""
    found = _found_in(hint, Supplied)
    return () if found is None else found.names


def _build_value(registry: Registry, value: Any, later: bool) -> Any:
    if _is_component(value):
        return functools.partial(build, registry, value) if later else build(registry, value)
    if isinstance(value, (list, tuple)):
        return [_build_value(registry, item, later) for item in value]
    if isinstance(value, Mapping):
        return {key: _build_value(registry, item, later) for key, item in value.items()}
    return value


def _is_component(value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value.get("name"), str)
    return hasattr(value, "name") and hasattr(value, "kwargs")


def _split(spec: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(spec, Mapping):
        if not isinstance(spec.get("name"), str):
            raise UnknownNameError(f"a component needs a 'name', got the keys {sorted(spec)}")
        return spec["name"], {key: value for key, value in spec.items() if key != "name"}
    return spec.name, spec.kwargs


def _plain(value: Any) -> Any:
    """Return `value` with every component in it as the mapping that it was in the YAML."""
    if _is_component(value) and not isinstance(value, Mapping):
        return {"name": value.name, **{key: _plain(item) for key, item in value.kwargs.items()}}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value


@functools.cache
def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError:  # a library's class, annotated with names that only type checkers import
        return {}


def _found_in(hint: Any, kind: type[M]) -> M | None:
    """Return what an annotation says of a kind, wherever it stands in it."""
    for item in getattr(hint, "__metadata__", ()):
        if isinstance(item, kind):
            return item
    for argument in typing.get_args(hint):
        found = _found_in(argument, kind)
        if found is not None:
            return found
    return None


@functools.cache
def _import_packages() -> None:
    for package_name in PACKAGES:
        try:
            package = importlib.import_module(package_name)
        except ModuleNotFoundError as error:
            if error.name == package_name:
                continue
            raise
        for info in pkgutil.walk_packages(package.__path__, package_name + "."):
            importlib.import_module(info.name)
