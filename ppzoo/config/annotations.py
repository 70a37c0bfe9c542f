# SPDX-License-Identifier: Apache-2.0
"""What annotations of parameters say about the values that a config may give them."""

from __future__ import annotations

import builtins
import collections.abc
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union

from ppzoo.config.schema import Component
from ppzoo.registry import Registry

_UNIONS = (Union, types.UnionType)
_SEQUENCES = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)


class _Names(dict[str, Any]):
    """Names that annotations use; unknown ones mean `Any`.

    Paddle's classes import the types of their annotations for type checkers only.
    """

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, getattr(collections.abc, name, Any))


@functools.cache
def parameter_hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of the parameters of a class or function, `Any` where unknown."""
    function = inspect.unwrap(target)
    if inspect.isclass(function):
        function = inspect.unwrap(function.__init__)
    names = _Names(getattr(function, "__globals__", {}))
    hints: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.annotation is parameter.empty:
            continue
        holder = types.SimpleNamespace(__annotations__={name: parameter.annotation})
        try:
            hints |= typing.get_type_hints(holder, names, names, include_extras=True)
        except TypeError:  # parameters of an unknown type: `Any[int]`
            continue
    return hints


def fits(value: Any, hint: Any) -> bool:
    """Whether a value without components can be of an annotated type.

    Integers are floats, lists and tuples are interchangeable, texts are paths; types that a config
    cannot express, such as arrays, fit everything.
    """
    if takes_component(hint):
        return isinstance(value, Component)
    base, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if base in _UNIONS:
        return any(fits(value, arm) for arm in args)
    if base is Annotated:
        return fits(value, args[0])
    if base is Literal:
        return any(value == choice and type(value) is type(choice) for choice in args)
    if base is None or base is type(None):
        return value is None
    if base in (bool, int, float, str):
        accepted = (int, float) if base is float else base
        return isinstance(value, accepted) and (base is bool or not isinstance(value, bool))
    if base in _SEQUENCES:
        return isinstance(value, (list, tuple)) and _items_fit(value, base, args)
    if _is_subclass(base, Mapping):
        items = value.values() if isinstance(value, Mapping) else ()
        accepted = isinstance(value, (Mapping, Component))
        return accepted and all(fits(item, arm) for item in items for arm in args[1:])
    return isinstance(value, str) if _is_subclass(base, os.PathLike) else True


def takes_component(hint: Any) -> bool:
    """Whether an annotation, one arm of a union, is `Annotated[X, REGISTRY]` of one component."""
    if typing.get_origin(hint) is not Annotated:
        return False
    base = typing.get_origin(hint.__origin__) or hint.__origin__
    is_container = base in _SEQUENCES or _is_subclass(base, Mapping)
    return not is_container and any(isinstance(item, Registry) for item in hint.__metadata__)


def arms(hint: Any) -> Iterator[Any]:
    """Yield the members of a union, or an annotation that is none."""
    if typing.get_origin(hint) in _UNIONS:
        for arm in typing.get_args(hint):
            yield from arms(arm)
    else:
        yield hint


def item_hint(value: Any, hint: Any) -> Any:
    """Return the annotation of the items of a list or mapping, None if it cannot be one."""
    for arm in arms(hint):
        if takes_component(arm):
            continue
        arm = arm.__origin__ if typing.get_origin(arm) is Annotated else arm
        base, args = typing.get_origin(arm) or arm, typing.get_args(arm)
        if isinstance(value, Mapping) and _is_subclass(base, Mapping):
            return args[1] if args else Any
        if isinstance(value, (list, tuple)) and base in _SEQUENCES:
            return args[0] if args else Any
    return None


def choices(hint: Any) -> list[Any]:
    """Return what the `Literal` in an annotation lists."""
    found = [arm for arm in arms(hint) if typing.get_origin(arm) is Literal]
    return [choice for literal in found for choice in typing.get_args(literal)]


def described(hint: Any) -> str:
    """Return an annotated type in words, such as `int or None`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        labels = [item.label for item in hint.__metadata__ if isinstance(item, Registry)]
        if labels and takes_component(hint):
            return f"a {labels[0]} (a mapping with a 'name')"
        return described(args[0])
    if origin in _UNIONS or origin is Literal:
        words = [repr(arm) if origin is Literal else described(arm) for arm in args]
        return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    if hint is type(None):
        return "None"
    if origin is not None:
        inner = ", ".join("..." if arm is Ellipsis else described(arm) for arm in args)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return getattr(hint, "__name__", str(hint))


def _items_fit(value: list[Any] | tuple[Any, ...], base: Any, args: tuple[Any, ...]) -> bool:
    if base is tuple and args and args[-1] is not Ellipsis:
        return len(value) == len(args) and all(map(fits, value, args))
    return not args or all(fits(item, args[0]) for item in value)


def _is_subclass(base: Any, parent: type) -> bool:
    return inspect.isclass(base) and issubclass(base, parent)
