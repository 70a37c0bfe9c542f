# SPDX-License-Identifier: Apache-2.0
"""The command line: `ppzoo train|eval|predict|list`, and `python tools/main.py` of PaddleGAN.

A user's mistake is one sentence and exit code 2, never a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.machinery
import importlib.metadata
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import ppzoo
from ppzoo import registry, runtime
from ppzoo.apps import PREDICTORS, add_overrides
from ppzoo.errors import ConfigError, NotHereYetError, UnknownNameError, UserError

# Flags of sizes, where -1 stands for any.
_SIZES = ("-s", "--sizes", "--inputs_size")
REGISTRIES = {
    "models": registry.MODELS,
    "generators": registry.GENERATORS,
    "discriminators": registry.DISCRIMINATORS,
    "criterions": registry.CRITERIONS,
    "datasets": registry.DATASETS,
    "preprocess": registry.PREPROCESS,
    "transforms": registry.TRANSFORMS,
    "metrics": registry.METRICS,
    "optimizers": registry.OPTIMIZERS,
    "lr_schedulers": registry.LRSCHEDULERS,
}

# Subcommands that are modules of their own, with `add_arguments(parser)` and `run(args)`, which
# returns an exit code or nothing.
COMMANDS = {
    "check": ("check configs without training", "ppzoo.apps.check"),
    "data": ("make or fetch datasets", "ppzoo.apps.prepare"),
    "export": ("write networks as Paddle's inference models", "ppzoo.apps.export"),
    "weights": ("official files: list, download, verify; convert weights", "ppzoo.apps.weights"),
    "serve": ("answer pictures over HTTP by a trained network", "ppzoo.apps.serve"),
    "new": ("make a project of your own, to train and to share", "ppzoo.apps.new"),
    "measure": ("compare folders of pictures, films, lips and sound", "ppzoo.apps.measure"),
    "grade": ("grade a folder of homework, offline", "ppzoo.course.grade"),
    "homework": ("export homework to hand it in", "ppzoo.course.export"),
}
# Where the second word stands for a module of its own, which adds it as a positional argument.
SPECIAL = {
    ("measure", "sync"): "ppzoo.apps.measure_sync",
    ("measure", "motion"): "ppzoo.apps.measure_motion",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ppzoo SUBCOMMAND ...` and return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    with _importing():
        parser = _parser(argv)
    return _run(parser, argv)


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of `ppzoo`, with the options of the subcommand that `argv` begins with."""
    parser = _Parser(prog="ppzoo", description=ppzoo.__doc__)
    parser.add_argument("--version", action=_Version, nargs=0, help="say the version, and exit")
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train what a config describes")
    _add_run_arguments(train)
    train.set_defaults(call=_train)

    evaluate = commands.add_parser(
        "eval", help="compute the metrics of a config on weights, and write pictures"
    )
    _add_run_arguments(evaluate)
    evaluate.set_defaults(call=_train, evaluate_only=True)

    predict = commands.add_parser("predict", help="use a trained model")
    families = predict.add_subparsers(dest="name", required=True, metavar="MODEL")
    # These import Paddle, which takes seconds that the other commands need not wait.
    for name, module_name in PREDICTORS.items() if argv[:1] == ["predict"] else ():
        module = importlib.import_module(module_name)
        family = families.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        module.add_arguments(family)
        family.set_defaults(call=functools.partial(_predict, module.run))

    for name, (purpose, module_name) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        if argv[:1] == [name]:
            module = importlib.import_module(SPECIAL.get(tuple(argv[:2]), module_name))
            module.add_arguments(command)
            command.set_defaults(call=module.run)

    listing = commands.add_parser("list", help="list what configs can name")
    listing.add_argument("kind", nargs="?", choices=[*REGISTRIES, "configs"], help="one kind only")
    listing.set_defaults(call=_list)
    return parser


class _Parser(argparse.ArgumentParser):
    """Suggests a word that is like the one it refuses; its subcommands' parsers do as well."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with code 2."""
        words = re.findall(r"invalid choice: '([^']*)'|unrecognized arguments: (\S+)", message)
        known = set(self._words())
        for choice, option in words:
            kind = [word for word in known if word.startswith("-") == bool(option)]
            message += registry.suggest(choice or option.partition("=")[0], sorted(kind))
        super().error(message)

    def _words(self) -> Iterator[str]:
        """Yield the options of this parser and its subcommands, and what it lets choose from."""
        for action in self._actions:
            yield from action.option_strings
            yield from map(str, action.choices or ())
            if isinstance(action.choices, dict):
                for parser in action.choices.values():
                    yield from (word for word in parser._words() if word.startswith("-"))


class _Version(argparse.Action):
    """Says the version, and where `import ppgan` would not find ppzoo's."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"ppzoo {ppzoo.__version__}")
        ours = Path(ppzoo.__file__).resolve().parent.parent / "ppgan"
        # Scripts look into their own folder first: most likely this one.
        spec = importlib.machinery.PathFinder.find_spec("ppgan", ["", *sys.path])
        found = Path(spec.origin).resolve().parent if spec and spec.origin else ours
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            theirs = importlib.metadata.distribution("ppgan")
            print(f"PaddleGAN {theirs.version} is installed, too: `pip uninstall ppgan` removes it")
        if not (ours / "__init__.py").is_file():
            print("ppzoo's own `ppgan` is gone, with PaddleGAN's perhaps: install ppzoo again")
        if found != ours and not (found / "tables.py").is_file():
            print(f"`import ppgan` finds PaddleGAN here, in {found}: scripts will use that")
        parser.exit()


def main_tool(argv: Sequence[str] | None = None) -> int:
    """Run `python tools/main.py ...`, with PaddleGAN's flags, and return the exit code."""
    parser = _Parser(prog="tools/main.py", description="Train or evaluate what a config describes.")
    _add_run_arguments(parser)
    parser.add_argument("--list", action="store_true", help="list what configs can name, and exit")
    parser.set_defaults(call=lambda args: _list(args) if args.list else _train(args), kind=None)
    return _run(parser, argv)


def run_script(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], dict[str, Path]],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a script that has options of its own, and return the exit code.

    Args:
        parser: of its options.
        run: does the work, and returns paths by kind, which are printed.
        argv: the options, by default the command line's.
    """
    parser.set_defaults(call=functools.partial(_predict, run))
    return _run(parser, argv)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-c", "--config-file", metavar="FILE", help="YAML that describes the run")
    add_overrides(parser)
    add("--resume", metavar="FILE", help="go on from a *_checkpoint.pdparams")
    add("--load", metavar="FILE", help="start from the weights in a file")
    add("--evaluate-only", action="store_true", help="compute the metrics, write pictures and exit")
    add("--seed", type=int, help="repeat a run bit for bit (on CPU)")
    add("--amp", action="store_true", help="mixed precision")
    add("--amp_level", choices=["O1", "O2"], help="how mixed, with --amp; O1 by default")
    add(
        "-p",
        "--profiler_options",
        metavar="K=V;...",
        help='profile some steps: "batch_range=[10,20];profile_path=FILE"',
    )
    add("--val-interval", type=int, metavar="N", help="evaluate every N steps, -1 for never")
    add("--no-cuda", action="store_true", help="the same as --device cpu")
    add("--device", help="cpu, gpu or gpu:N; by default a GPU if there is one")
    add("--dry-run", action="store_true", help="check and print the config, train nothing")


def _with_sizes(argv: Sequence[str]) -> list[str]:
    """Return a command line with sizes such as `-s -1,3,64,64` as argparse wants them, after `=`.

    It takes words that begin with a minus for flags, but for single numbers.
    """
    words: list[str] = []
    for word in argv:
        if words and words[-1] in _SIZES and re.match(r"-1\b", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    try:
        args = parser.parse_args(_with_sizes(sys.argv[1:] if argv is None else argv))
        call: Callable[[argparse.Namespace], int | None] = args.call
        with _ending_in_order():
            return call(args) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # such as `... --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """End the process at once on Ctrl-C, while modules are imported and nothing is under way.

    An exception would not do: modules in compiled code lose it, or make an ImportError of it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    # Where Ctrl-C is ignored, as in the background of a script, or someone else's, so it stays.
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*_: Any) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(130)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM end the process as an exception would, so that no unfinished file stays behind.

    Training puts a handler of its own in its place while it runs.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _train(args: argparse.Namespace) -> int:
    if not args.config_file:
        raise ConfigError("-c FILE is missing: name the YAML that describes the run")
    if args.load and args.resume:
        raise ConfigError("--load and --resume contradict each other: a run starts, or it goes on")
    if args.amp_level and not args.amp:
        print("warning: --amp_level has no effect without --amp", file=sys.stderr)
    overrides = [*_flags_as_overrides(args), *args.opt]
    with _importing():
        from ppzoo.config import load_config

        config = load_config(args.config_file, overrides, check=True)
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if args.dry_run:
        print(config.to_yaml(), end="")
        return 0

    with _importing():
        from ppzoo.engine.logs import setup_logging
        from ppzoo.engine.profiler import Profiler
        from ppzoo.engine.trainer import Trainer

    callbacks = [Profiler.from_text(args.profiler_options)] if args.profiler_options else []
    amp_level = (args.amp_level or "O1") if args.amp else "O0"
    trainer = Trainer(config, amp_level=amp_level, callbacks=callbacks)
    setup_logging(console=trainer.world.is_main)
    if trainer.world.is_main:
        print(runtime.describe())
    if args.evaluate_only:
        weights = args.load or args.resume
        if weights is None:
            raise ConfigError("evaluating needs weights: give them with --load FILE")
        trainer.load(weights, prefer_ema=True)
        trainer.evaluate(pictures=True)
        if trainer.world.is_main:
            _summarise_evaluation(trainer)
        return 0
    if args.load:
        trainer.load(args.load)
    if args.resume:
        trainer.resume(args.resume)
    trainer.fit()
    if trainer.world.is_main:
        _summarise(trainer)
    return 0 if trainer.interrupted is None else 128 + trainer.interrupted


def _predict(
    run: Callable[[argparse.Namespace], dict[str, Path]], args: argparse.Namespace
) -> None:
    with _importing():
        from ppzoo.engine.logs import showing_warnings
    with showing_warnings():
        try:
            places = run(args)
        except NotHereYetError:
            raise
        except UnknownNameError as error:
            raise type(error)(
                f"{error}; names of a project of your own are known to its own command only, "
                "`python -m my_project predict ...`: see docs/project.md"
            ) from error
    for kind, path in places.items():
        print(f"{kind}: {path}")


def _flags_as_overrides(args: argparse.Namespace) -> list[str]:
    if args.no_cuda and args.device not in (None, "cpu"):
        raise ConfigError(f"--no-cuda and --device {args.device} contradict each other")
    device = "cpu" if args.no_cuda else args.device
    flags = {"seed": args.seed, "device": device, "validate.interval": args.val_interval}
    return [f"{key}={value}" for key, value in flags.items() if value is not None]


def _summarise_evaluation(trainer: Any) -> None:
    """Say what was found, and where the pictures are."""
    _print_metrics(trainer)
    folder = trainer.visual_test_dir
    count = sum(1 for _ in folder.glob("*.png"))
    print(f"pictures: {folder} ({count} files)" if count else "pictures: the model draws none")


def _print_metrics(trainer: Any) -> None:
    print()
    for name, value in trainer.metrics.items():
        print(f"{name}: {value:.4g}")


def _summarise(trainer: Any) -> None:
    """Say what came out and where it is."""
    from ppzoo.engine.callbacks import drawn_pictures

    _print_metrics(trainer)
    pictures = drawn_pictures(trainer.run_dir)
    film = trainer.run_dir / "training.gif"
    if pictures:
        moment = pictures[-1].name.partition("_")[0]
        latest = [path for path in pictures if path.name.startswith(f"{moment}_")]
        # What the networks made rather than what they were given.
        print(f"pictures: {min(latest, key=lambda path: path.name.startswith(f'{moment}_real'))}")
    if film.is_file():
        print(f"film of the training: {film}")
    print(f"run folder: {trainer.run_dir}")
    if trainer.config.enable_visualdl:
        print(f"curves: visualdl --logdir {trainer.run_dir}")


def _list(args: argparse.Namespace) -> int:
    for kind, entries in REGISTRIES.items():
        if args.kind in (None, kind):
            print(f"{kind} ({len(entries)}):")
            print("".join(f"  {name}\n" for name in entries.names()), end="")
    if args.kind in (None, "configs"):
        paths = sorted(Path("configs").rglob("*.yaml"))
        print(f"configs ({len(paths)}, in ./configs):")
        print("".join(f"  {path}\n" for path in paths), end="")
    return 0
