# SPDX-License-Identifier: Apache-2.0
"""How PaddleGAN's modules and names are found in ppzoo; where they are is in `ppgan.tables`."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ppgan.tables import ALIASES, HOMES, MISSING, MISSING_MODULES, REGISTRIES
from ppzoo.errors import NotHereYetError, UnknownNameError
from ppzoo.paddlegan_names import has_name
from ppzoo.registry import Registry, suggest

_ADVICE = "docs/migrating.md of ppzoo says where PaddleGAN's names are"
# A package that the installer made of a folder notes here where that folder is.
_ORIGIN = "direct_url.json"


class _MissingError(NotHereYetError):
    """PaddleGAN's module has it and ppzoo's does not.

    Args:
        name: the module, or the module and a name in it, with dots.
        instead: what to use.
    """

    def __init__(self, name: str, instead: str = "") -> None:
        hint = instead or "`ppzoo list` shows what it has"
        super().__init__(f"ppzoo does not have {name} of PaddleGAN yet: {hint}", (name,))


class MissingImportError(_MissingError, ImportError):
    """It was imported."""


class MissingAttributeError(_MissingError, AttributeError):
    """It was looked up in its module; `hasattr` says no."""


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes the modules of the tables when they are imported, and refuses those it cannot make.

    `from module import name` asks for a module `module.name` where the module has no such name. So
    a name that is missing is refused here, in a sentence that Python would not say.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to make a module of PaddleGAN's, None for others."""
        if name in ALIASES or name in HOMES or _missing(name) is not None or _near(name):
            # All are packages: of others, Python would not ask for `module.name`.
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Refuse what is missing, and let Python make the rest.

        Raises:
            MissingImportError: ppzoo does not have it.
        """
        instead = _missing(spec.name)
        if instead is not None:
            raise MissingImportError(spec.name, instead)
        near = "" if spec.name in ALIASES or spec.name in HOMES else _near(spec.name)
        if near:
            module, _, attribute = spec.name.rpartition(".")
            raise ImportError(f"{module} has no {attribute!r}{near}", name=module)

    def exec_module(self, module: types.ModuleType) -> None:
        """Let the module look its names up where they are."""
        name = module.__name__
        if name in ALIASES:
            package = ALIASES[name]
            module.__doc__ = f"PaddleGAN's names, from `{package}`."
            module.__getattr__, module.__dir__ = _hooks_of_alias(name, package)  # type: ignore[method-assign]
        else:
            module.__doc__ = "PaddleGAN's names, from ppzoo."
            module.__getattr__, module.__dir__ = hooks(name)  # type: ignore[method-assign]


Hooks = tuple[Callable[[str], Any], Callable[[], list[str]]]


def hooks(module: str) -> Hooks:
    """Return `__getattr__` and `__dir__` of a module whose names are in ppzoo.

    Args:
        module: its name.
    """
    homes, registries = HOMES.get(module, {}), REGISTRIES.get(module, ())

    def names() -> list[str]:
        held = [name for registry in registries for name in registry]
        own = [
            name
            for name, value in vars(sys.modules[module]).items()
            if getattr(value, "__module__", None) == module and not name.startswith("_")
        ]
        return sorted({*homes, *held, *own})

    def get(name: str) -> Any:
        if name == "__all__":  # what `from module import *` takes
            return names()
        if name.startswith("_"):
            raise _no(module, name)
        if name in homes:
            return _found(homes[name], name)
        for registry in registries:
            try:
                return registry.get(name)
            except UnknownNameError:
                continue
        inner = f"{module}.{name}"
        instead = _missing(inner)
        if instead is not None:
            raise MissingAttributeError(inner, instead)
        spec = importlib.util.find_spec(inner)
        is_ours = spec is not None and isinstance(spec.loader, Finder)
        if is_ours and inner not in ALIASES and inner not in HOMES:
            raise _no(module, name)  # it was found for what it is like
        if spec is not None:
            return importlib.import_module(inner)
        raise _no(module, name)

    def listed() -> list[str]:
        held = vars(sys.modules[module])
        return sorted({*names(), *(name for name in held if _is_shown(module, name, held[name]))})

    return get, listed


def _is_shown(module: str, name: str, value: Any) -> bool:
    """Tell whether a name in a module is one of PaddleGAN's, and not what this package imports."""
    if isinstance(value, types.ModuleType):
        return value.__name__ in HOMES or value.__name__ in ALIASES
    return name.startswith("__") or getattr(value, "__module__", None) == module


def _hooks_of_alias(module: str, package: str) -> Hooks:
    """Return `__getattr__` and `__dir__` of a module whose names are those of its package."""

    def get(name: str) -> Any:
        if name.startswith("_") and name != "__all__":
            raise _no(module, name)
        try:
            return getattr(importlib.import_module(package), name)
        except MissingAttributeError:
            raise
        except AttributeError:
            raise _no(module, name) from None

    return get, lambda: dir(importlib.import_module(package))


def _found(place: str, name: str) -> Any:
    where, colon, attribute = place.partition(":")
    module = importlib.import_module(where)
    if colon and not attribute:
        return module
    found = getattr(module, attribute or name)
    if isinstance(found, Registry):
        found.names()  # reads what ppzoo registers, so that who takes its names is told at once
    return found


def _missing(name: str) -> str | None:
    """Return what to use instead of what ppzoo does not have; None if it has it, or knows not."""
    if name in MISSING_MODULES:
        return MISSING_MODULES[name]
    module, _, attribute = name.rpartition(".")
    if module in MISSING_MODULES:
        return MISSING_MODULES[module]
    package = ALIASES.get(module, module)
    instead = MISSING.get(package, {}).get(attribute)
    for registry in REGISTRIES.get(package, ()):
        if has_name(registry.label, attribute):
            return None if attribute in registry else instead or ""
    return instead


def _near(name: str) -> str:
    """Return what may have been meant by a name that a module does not have, "" if nothing."""
    module, _, attribute = name.rpartition(".")
    package = ALIASES.get(module, module)
    if package not in HOMES or attribute.startswith("_"):
        return ""
    held = [name for registry in REGISTRIES.get(package, ()) for name in registry]
    known = {*HOMES[package], *MISSING.get(package, {}), *held}
    return "" if attribute in known else suggest(attribute, sorted(known))


def _no(module: str, name: str) -> AttributeError:
    advice = "" if name.startswith("_") else _near(f"{module}.{name}") or f": {_ADVICE}"
    return AttributeError(f"module {module!r} has no attribute {name!r}{advice}", name=name)


def refuse_a_mixture() -> None:
    """Refuse to run where PaddleGAN is installed too, whose files have the same names.

    Raises:
        ImportError: it is.
    """
    try:
        other = importlib.metadata.distribution("ppgan")
    except importlib.metadata.PackageNotFoundError:
        return
    raise ImportError(
        f"PaddleGAN {other.version} is installed beside ppzoo, {_place(other)}, and both are "
        "called ppgan: remove it, `pip uninstall ppgan`, then install ppzoo as you did before, "
        "since files of the same name go with it"
    )


def _place(other: importlib.metadata.Distribution) -> str:
    """Return where a package's files are."""
    try:
        origin = json.loads(other.read_text(_ORIGIN) or "{}")
    except ValueError:
        origin = {}
    if origin.get("dir_info", {}).get("editable"):
        return f"in {origin['url'].removeprefix('file://')}"
    theirs = Path(str(other.locate_file("ppgan"))).resolve()
    is_ours = theirs == Path(__file__).resolve().parent
    return "in the same folder" if is_ours else f"in {theirs}"
