# SPDX-License-Identifier: Apache-2.0
"""`ppzoo weights`: PaddleGAN's official files, listed, fetched, verified; weights converted."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.apps import add_overrides
from ppzoo.download import file_sha256
from ppzoo.errors import ConfigError, UserError, WeightsError
from ppzoo.weights import match_state, read, select_net, write_pdparams, write_safetensors
from ppzoo.weights.load import is_network, listed
from ppzoo.weights.manifest import (
    OFFICIAL,
    WeightsFile,
    cached_path,
    find_weights,
    local_weights,
    official_weights,
)
from ppzoo.weights.pickles import shown
from ppzoo.weights.torch_names import TorchArrays

_SUFFIXES = (".safetensors", ".pdparams")
# What official files hold that are not weights.
_OTHER_FILES = (".npy", ".dat", ".tar")
# What takes official files: a predictor, a metric, a detector. The others wait for their networks.
USED_BY = {
    "inception_v3": "FID",
    "lpips_vgg16": "LPIPS, PerceptualLoss",
    "lpips_lin_vgg": "LPIPS",
    "vgg19": "PerceptualLoss, firstorder (training)",
    "s3fd": "face detector sfd",
    "blazeface": "face detector blazeface",
    "bisenet": "faceparse",
    "faceseg": "photo2cartoon (mask)",
    "photo2cartoon": "photo2cartoon",
    "first_order_vox": "firstorder",
    "first_order_vox_512": "firstorder --image-size 512",
    "first_order_vox_mobile": "firstorder --mobile-net",
    "wav2lip": "wav2lip",
    "syncnet": "wav2lip (training), LSE",
    "realsr": "realsr",
    "realsr_df2k": "realsr",
    "realsr_dped": "realsr",
    "realsr_merge": "realsr",
    "esrgan": "esrgan",
    "esrgan_psnr": "esrgan",
    "edvr": "edvr",
}
_COLUMNS = ("name", "file", "used by", "here", "layout", "licence")
_NONE = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppzoo weights`."""
    commands = parser.add_subparsers(dest="weights_command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        found.add_argument("--json", action="store_true", help="print JSON")
        return found

    listing = command("list", "list PaddleGAN's official files, and those on this computer")
    listing.add_argument("--here", action="store_true", help="only those on this computer")
    fetch = command("download", "fetch official files into the cache folder")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `ppzoo weights list` shows")
    verify = command("verify", "check that files can be read and are unchanged")
    verify.add_argument(
        "files",
        nargs="*",
        metavar="NAME-or-FILE",
        help="official names or files; by default all official files on this computer",
    )
    convert = command("convert", "write weights of Paddle or PyTorch as .safetensors or .pdparams")
    add = convert.add_argument
    add("source", metavar="SOURCE", help=".pdparams, .pth, .safetensors, or a checkpoint of these")
    add("target", metavar="TARGET", help="new file: its name ends in .safetensors or .pdparams")
    add("--net", metavar="NAME", help="only this network, flat, of a file of several")
    add("--force", action="store_true", help="replace a file that is there already")
    add(
        "-c",
        "--config-file",
        metavar="FILE",
        help="YAML of the model: check that the weights fit it, and fit those of PyTorch to it",
    )
    add_overrides(convert)


def run(args: argparse.Namespace) -> int:
    """Run `ppzoo weights ...` and return the exit code.

    Raises:
        UserError: a name is unknown, a file cannot be had, read or written.
    """
    if args.weights_command == "list":
        return _list(args.here, args.json)
    if args.weights_command == "download":
        return _download(args.names, args.json)
    if args.weights_command == "verify":
        return _verify(args.files, args.json)
    nets = convert(
        args.source,
        args.target,
        args.net,
        force=args.force,
        config=args.config_file,
        options=args.opt,
    )
    if args.json:
        _say(json.dumps({"source": args.source, "target": args.target, "networks": nets}, indent=2))
        return 0
    _say(f"{args.target}: {_described(nets)}")
    return 0


def convert(
    source: str,
    target: str,
    net: str | None = None,
    *,
    force: bool = False,
    config: str | None = None,
    options: Sequence[str] = (),
) -> dict[str, dict[str, int]]:
    """Write the networks in a file of weights anew, and return how large each is.

    What is not weights (states of optimizers, counters, settings) is left out, so that the result
    is for use, not for going on with a training. PaddleGAN's layout, `{net: {parameter: array}}`,
    is kept; bfloat16 becomes float32, in `.pdparams` half precision as well.

    Args:
        source: see `ppzoo.weights.read`.
        target: a `.safetensors` or `.pdparams` file, replaced as a whole or not at all.
        net: only this network, without its name around it.
        force: replace a target that exists.
        config: YAML of the model that the weights are for. Those of PyTorch need it where there
            are linear layers or instance norms, which it stores in another way.
        options: changes of the config.

    Raises:
        WeightsError: the source cannot be read, lacks the network, does not fit the model, or holds
            what files of the target's kind do not.
        ConfigError: the model cannot be built.
        UserError: the target has another name, exists, or cannot be written.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"cannot write {target}: its name must end in {' or '.join(_SUFFIXES)}")
    if not force and Path(target).exists():
        raise UserError(f"{target} exists: choose another name, or replace it with --force")
    content = read(source)
    nets = networks(content)
    if not nets:
        raise WeightsError(f"{source} holds no network")
    if config is not None:
        nets = _fitted(content, source, net, config, options)
    elif net is not None and net not in nets:
        known = listed([name for name in nets if name]) or "one without a name"
        raise WeightsError(f"{source} has no network {net!r}: it holds {known}")
    chosen = {net: nets[net]} if net is not None else nets
    for arrays in chosen.values():
        _refuse_linear_layers(arrays, source)
    if any(isinstance(arrays, TorchArrays) for arrays in chosen.values()):
        _note(
            f"{source} is PyTorch's: names are changed to Paddle's; where a model has instance "
            "norms, name its YAML with -c"
        )
    plain = {
        name: {key: _plain(value, suffix) for key, value in arrays.items()}
        for name, arrays in chosen.items()
    }
    flat = len(plain) == 1 and (net is not None or "" in plain)
    written: Mapping[str, Any] = next(iter(plain.values())) if flat else plain
    try:
        (write_safetensors if suffix == ".safetensors" else write_pdparams)(target, written)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{source} holds what {suffix} files do not: {error}; choose "
            f"{' or '.join(other for other in _SUFFIXES if other != suffix)}"
        ) from error
    return _sizes(plain)


def networks(content: Mapping[Any, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return the networks in what a weights file holds, by name; one without a name is ''."""
    kind = TorchArrays if isinstance(content, TorchArrays) else dict
    flat = kind((str(key), v) for key, v in content.items() if isinstance(v, np.ndarray))
    if flat:
        return {"": flat} if is_network(flat) else {}
    return {
        str(key): type(entry)((str(k), v) for k, v in entry.items())
        for key, entry in content.items()
        if is_network(entry)
    }


def _fitted(
    content: Mapping[Any, Any], source: str, net: str | None, config: str, options: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Return the weights of a model's networks, as it takes them."""
    import ppzoo
    from ppzoo.config import load_config

    model = ppzoo.build_model(load_config(config, list(options), check=True).model)
    if net is not None and net not in model.nets:
        raise ConfigError(f"{config} has no network {net!r}, only {', '.join(model.nets)}")
    if net is None and len(model.nets) > 1 and "" in networks(content):
        raise UserError(
            f"{source} holds one network without a name, and the model has "
            f"{', '.join(model.nets)}: say by --net which one it is"
        )
    names = [net] if net is not None else list(model.nets)
    if net is None and "" not in networks(content):
        names = [name for name in names if name in content]
    if not names:
        raise WeightsError(f"{source} has none of the networks {', '.join(model.nets)}")
    return {
        name: match_state(model.nets[name], select_net(content, name, source), f"{source} ({name})")
        for name in names
    }


def _refuse_linear_layers(arrays: Mapping[str, np.ndarray], source: str) -> None:
    if not isinstance(arrays, TorchArrays):
        return
    linear = [key for key, value in arrays.items() if value.ndim == 2 and key.endswith(".weight")]
    if linear:
        raise UserError(
            f"{source} holds matrices such as {shown(linear[0])}, which PyTorch stores transposed "
            "where they belong to linear layers: name the YAML of the model with -c"
        )


def _plain(array: np.ndarray, suffix: str) -> np.ndarray:
    """Return an array whose type other programs know, too."""
    if array.dtype == np.uint16:  # bits of bfloat16
        return np.left_shift(array, 16, dtype=np.uint32).view(np.float32)
    if array.dtype == np.float16 and suffix == ".pdparams":
        return array.astype(np.float32)  # Paddle's layers do not convert what they are given
    return array


def _list(only_here: bool, as_json: bool) -> int:
    rows = []
    for name, entry in OFFICIAL.items():
        path = local_weights(name)
        if path is not None or not only_here:
            rows.append(_facts(entry, path))
    if as_json:
        _say(json.dumps(rows, indent=2))
        return 0
    if only_here and not rows:
        _note(f"no official file is in {_folder()}")
        return 0
    table = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        _say("  ".join(padded).rstrip())
    return 0


def _facts(entry: WeightsFile, path: Path | None) -> dict[str, Any]:
    """Return what is known of an official file, and where it is, or belongs where it is not."""
    return {
        "name": entry.name,
        "file": entry.filename,
        "used_by": USED_BY.get(entry.name),
        "layout": entry.layout,
        "licence": entry.licence,
        "url": entry.url,
        "path": str(path or cached_path(entry.name)),
        "bytes": None if path is None else path.stat().st_size,
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    here = _NONE if row["bytes"] is None else f"{row['bytes'] / 2**20:.1f} MiB"
    used = row["used_by"] or _NONE
    return row["name"], row["file"], used, here, row["layout"], row["licence"]


def _download(names: Sequence[str], as_json: bool) -> int:
    for name in names:
        official_weights(name)  # a misspelt name is told before hours of waiting
    found, failed = {}, 0
    for name in names:
        try:
            found[name] = str(find_weights(name))
        except UserError as error:
            failed += 1
            _note(f"error: {error}")
            continue
        if not as_json:
            _say(found[name])
    if as_json:
        _say(json.dumps(found, indent=2))
    return 2 if failed else 0


def _verify(files: Sequence[str], as_json: bool) -> int:
    chosen = list(files) or [name for name in OFFICIAL if local_weights(name)]
    if not chosen:
        _note(f"no official file is in {_folder()}")
    found: list[dict[str, Any]] = []
    for item in chosen:
        try:
            found.append({"file": item, **_checked(item)})
        except UserError as error:
            found.append({"file": item, "error": str(error)})
    for row in [] if as_json else found:
        if "error" in row:
            _note(f"error: {row['error']}")
        else:
            _say(f"{row['file']}: {_described(row['networks'])}; SHA-256 {row['sha256']}")
    if as_json:
        _say(json.dumps(found, indent=2))
    return 2 if any("error" in row for row in found) else 0


def _checked(item: str) -> dict[str, Any]:
    """Return what a file holds, and its checksum.

    Raises:
        UserError: it is missing, damaged, unsafe, or has changed since its first use.
    """
    path = Path(item)
    if item in OFFICIAL:
        if local_weights(item) is None:
            raise WeightsError(f"{item} is not on this computer: ppzoo weights download {item}")
        path = find_weights(item)
        if path.suffix in _OTHER_FILES:
            return {"networks": {}, "sha256": file_sha256(path)}
    return {"networks": _sizes(networks(read(path))), "sha256": file_sha256(path)}


def _sizes(nets: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, int]]:
    return {
        name: {"arrays": len(arrays), "numbers": sum(array.size for array in arrays.values())}
        for name, arrays in nets.items()
    }


def _described(nets: Mapping[str, Mapping[str, int]]) -> str:
    found = [
        f"{shown(name) or 'weights'} ({size['arrays']} array{'s' * (size['arrays'] != 1)}, "
        f"{size['numbers']:,} numbers)"
        for name, size in nets.items()
    ]
    return ", ".join(found) or "no network"


def _folder() -> Path:
    return cached_path(next(iter(OFFICIAL))).parent


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
