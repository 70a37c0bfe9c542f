# SPDX-License-Identifier: Apache-2.0
"""`ppzoo weights`: PaddleGAN's official files, listed, fetched, verified; weights converted."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.download import file_sha256
from ppzoo.errors import UserError, WeightsError
from ppzoo.weights import read, write_pdparams, write_safetensors
from ppzoo.weights.load import is_network
from ppzoo.weights.manifest import OFFICIAL, cached_path, find_weights

_SUFFIXES = (".safetensors", ".pdparams")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppzoo weights`."""
    commands = parser.add_subparsers(dest="weights_command", required=True)
    listing = commands.add_parser("list", help="PaddleGAN's official files")
    listing.add_argument("--here", action="store_true", help="only those on this computer")
    listing.add_argument("--json", action="store_true", help="as JSON")
    fetch = commands.add_parser("download", help="fetch official files into the cache folder")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `ppzoo weights list` shows")
    verify = commands.add_parser("verify", help="check that files can be read and are unchanged")
    verify.add_argument(
        "files",
        nargs="*",
        metavar="NAME-or-FILE",
        help="official names or files; by default all official files on this computer",
    )
    convert = commands.add_parser(
        "convert", help="write weights of Paddle or PyTorch as .safetensors or .pdparams"
    )
    add = convert.add_argument
    add("source", metavar="FILE", help=".pdparams, .pth, .safetensors, or a checkpoint of these")
    add("target", metavar="FILE", help="new file: its name ends in .safetensors or .pdparams")
    add("--net", metavar="NAME", help="only this network, flat, of a file of several")


def run(args: argparse.Namespace) -> int:
    """Run `ppzoo weights ...` and return the exit code.

    Raises:
        UserError: a name is unknown, a file cannot be had, read or written.
    """
    if args.weights_command == "list":
        return _list(args.here, args.json)
    if args.weights_command == "download":
        for name in args.names:
            _say(str(find_weights(name)))
        return 0
    if args.weights_command == "verify":
        return _verify(args.files)
    nets = convert(args.source, args.target, args.net)
    sys.stderr.write(f"{args.source} became {args.target}: {', '.join(nets)}\n")
    return 0


def convert(source: str, target: str, net: str | None = None) -> list[str]:
    """Write the networks in a file of weights anew, and return what it holds, a line each.

    What is not weights (states of optimizers, counters, settings) is left out, so that the result
    is for use, not for going on with a training.

    Args:
        source: see `ppzoo.weights.read`.
        target: a `.safetensors` or `.pdparams` file.
        net: only this network, without its name around it.

    Raises:
        WeightsError: the source cannot be read, or lacks the network.
        UserError: the target has another name, or cannot be written.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"cannot write {target}: its name must end in {' or '.join(_SUFFIXES)}")
    nets = networks(read(source))
    if not nets:
        raise WeightsError(f"{source} holds no network")
    if net is not None and net not in nets:
        known = ", ".join(name for name in nets if name) or "one without a name"
        raise WeightsError(f"{source} has no network {net!r}: it holds {known}")
    chosen = {net: nets[net]} if net is not None else nets
    flat = len(chosen) == 1 and (net is not None or "" in chosen)
    content: Mapping[str, Any] = next(iter(chosen.values())) if flat else chosen
    (write_safetensors if suffix == ".safetensors" else write_pdparams)(target, content)
    return [
        f"{name or 'weights'} ({len(arrays)} arrays, {sum(a.size for a in arrays.values()):,} "
        "numbers)"
        for name, arrays in chosen.items()
    ]


def networks(content: Mapping[Any, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return the networks in what a weights file holds, by name; one without a name is ''."""
    flat = {str(key): v for key, v in content.items() if isinstance(v, np.ndarray)}
    if flat:
        return {"": flat}
    return {
        str(key): {str(k): v for k, v in entry.items()}
        for key, entry in content.items()
        if is_network(entry)
    }


def _list(only_here: bool, as_json: bool) -> int:
    rows = []
    for name, entry in OFFICIAL.items():
        path = cached_path(name)
        is_here = path.is_file()
        if is_here or not only_here:
            rows.append(
                {
                    "name": name,
                    "layout": entry.layout,
                    "licence": entry.licence,
                    "url": entry.url,
                    "path": str(path),
                    "bytes": path.stat().st_size if is_here else None,
                }
            )
    if as_json:
        _say(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        size = "" if row["bytes"] is None else f"{row['bytes'] / 2**20:.1f} MiB here"
        _say(f"{row['name']:28} {row['layout']:24} {row['licence']:34} {size}".rstrip())
    return 0


def _verify(files: list[str]) -> int:
    chosen = files or [name for name in OFFICIAL if cached_path(name).is_file()]
    if not chosen:
        sys.stderr.write("no official file is on this computer\n")
        return 0
    failed = 0
    for item in chosen:
        try:
            if item in OFFICIAL and not cached_path(item).is_file():
                raise WeightsError(f"{item} is not on this computer: ppzoo weights download {item}")
            path = find_weights(item) if item in OFFICIAL else Path(item)
            if path.suffix in (".npy", ".dat", ".tar"):
                _say(f"{item}: unchanged since its first use")
                continue
            nets = networks(read(path))
            shown = ", ".join(f"{name or 'weights'} {len(a)} arrays" for name, a in nets.items())
            _say(f"{item}: {shown or 'no network'}; SHA-256 {file_sha256(path)}")
        except UserError as error:
            failed += 1
            sys.stderr.write(f"error: {error}\n")
    return 2 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
