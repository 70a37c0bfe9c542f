# SPDX-License-Identifier: Apache-2.0
"""Check PaddleGAN's configs: python tools/paddlegan_configs.py PATH/TO/PaddleGAN/configs

Every file is read and compared with what ppzoo has. With `--train`, those that ppzoo can train take
two steps and are evaluated, on data that are drawn for it, each in a process of its own; where a
file asks for no evaluation, its weights then draw what they make of the test data. With
`--write docs/migrating.md`, the table there says what came of it. Ends with exit code 1 if a file
is damaged, or does not train although it should.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ppzoo.atomic import atomic_write  # noqa: E402
from ppzoo.config import TrainConfig, load_config  # noqa: E402
from ppzoo.errors import ConfigError, NotHereYetError, UserError  # noqa: E402
from tools import paddlegan_data  # noqa: E402

OURS = ROOT / "configs"
MAIN = ROOT / "tools" / "main.py"
BEGIN, END = "<!-- configs -->", "<!-- /configs -->"
# What two steps on a small machine need to be short; data paths come from `paddlegan_data`.
SHORT = (
    "total_iters=2",
    "log_config.interval=1",
    "snapshot_config.interval=2",
    "enable_visualdl=false",
    "seed=0",
    "device=cpu",
)
NOTHING = "nothing"
HEAD = (
    "| PaddleGAN's file · 文件 | model · 模型 | ppzoo | evaluates · 评测 | ours · 对应配置 |",
    "| --- | --- | --- | --- | --- |",
)
ROW = re.compile(
    r"^\| (?P<file>\S+\.yaml) \| (?P<model>\S+) \| (?P<result>.+?) \| (?P<evaluates>.*?) \| "
    r"(?P<ours>.*?) \|$"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of a file.

    Args:
        file: its name.
        model: the name of its model.
        result: `trains`, `checks` where nothing was trained, `parses: no X yet`, `fails`.
        evaluates: the metrics that it asks for, `pictures` or `nothing`; "" if it does not train.
        detail: what went wrong, or how long it took; not in the table.
    """

    file: str
    model: str
    result: str
    evaluates: str = ""
    detail: str = ""

    @property
    def is_good(self) -> bool:
        """Whether ppzoo does with the file what it can."""
        return self.result in ("trains", "checks") or self.result.startswith("parses")

    @property
    def line(self) -> str:
        """Return the row of the table."""
        there = (OURS / self.file).is_file()
        ours = f"[{self.file}](../configs/{self.file})" if there else ""
        cells = (self.file, self.model, self.result, self.evaluates, ours)
        return f"| {' | '.join(cells)} |"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a training may take.

    Args:
        scratch: a folder for data and runs.
        batch: samples of a batch at most.
        seconds: for a file.
    """

    scratch: Path
    batch: int
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, help="the folder configs of a checkout of PaddleGAN")
    add("--train", action="store_true", help="train two steps and evaluate")
    add("--only", nargs="+", metavar="NAME", help="these files only, without .yaml")
    add("--write", type=Path, metavar="FILE", help="put the table into this file; needs --train")
    # Full-size networks at full-size crops need gigabytes for one sample.
    add("--batch", type=int, default=2, help="samples of a batch at most; default: %(default)s")
    add("--timeout", type=float, default=1800.0, help="seconds for a file; default: %(default)s")
    args = parser.parse_args(argv)
    if args.write and not args.train:
        parser.error("--write needs --train: the table says what trains")
    try:
        files = _files(args.folder, args.only)
        with tempfile.TemporaryDirectory() as scratch:
            limits = Limits(Path(scratch), args.batch, args.timeout)
            rows = [examine(file, limits if args.train else None) for file in files]
        if args.write:
            write_table(args.write, rows)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    good = sum(row.is_good for row in rows)
    trains = sum(row.result in ("trains", "checks") for row in rows)
    verb = "train" if args.train else "check"
    print(f"{len(rows)} files: {trains} {verb}, {good - trains} parse, {len(rows) - good} fail")
    return 0 if good == len(rows) else 1


def _files(folder: Path, only: Sequence[str] | None) -> list[Path]:
    if only:
        return [folder / f"{name.removesuffix('.yaml')}.yaml" for name in only]
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(f"{folder} holds no YAML files: name the folder configs of PaddleGAN")
    return files


def examine(file: Path, limits: Limits | None) -> Row:
    """Check a file, train it if asked to, print what came of it, and return it."""
    row = check(file)
    if limits is not None and row.result == "checks":
        row = train_and_evaluate(file, row.model, limits)
    print(f"{row.file}: {row.result}{f' ({row.detail})' if row.detail else ''}", flush=True)
    return row


def check(file: Path) -> Row:
    """Read a file and compare it with what ppzoo has."""
    try:
        config = load_config(file, check=True)
    except NotHereYetError as error:
        model = load_config(file).model.name
        return Row(file.name, model, f"parses: no {error.names[0]} yet")
    except ConfigError as error:
        return Row(file.name, "", "fails", detail=str(error))
    return Row(file.name, config.model.name, "checks")


def train_and_evaluate(file: Path, model: str, limits: Limits) -> Row:
    """Draw the data that a file names, train it for two steps and evaluate, in a new process."""
    folder, home = limits.scratch / file.stem, limits.scratch / "home"
    config = load_config(file)
    evaluates = evaluation_of(config)
    with mock.patch.dict(os.environ, PPZOO_HOME=str(home)):
        paddlegan_data.write_weights(config)
    options = [*SHORT, *paddlegan_data.overrides(config, folder)]
    options.append(f"dataset.train.batch_size={min(limits.batch, config.dataset.train.batch_size)}")
    if evaluates != NOTHING:
        options.append("validate.interval=2")
    paddlegan_data.draw(load_config(file, options))
    began = time.monotonic()
    runs = folder / "output"
    wrong = _run(limits, file, [], [*options, f"output_dir={runs}"])
    wrong = wrong or _what_is_missing(runs, is_evaluated=evaluates != NOTHING)
    if not wrong and evaluates == NOTHING:
        (weights,) = runs.glob("*/iter_2_weight.pdparams")
        pictures = folder / "pictures"
        flags = ["--evaluate-only", "--load", str(weights)]
        wrong = _run(limits, file, flags, [*options, f"output_dir={pictures}"])
        if not wrong and not list(pictures.glob("*/visual_test/*.png")):
            wrong = "it drew no pictures"
    if wrong:
        return Row(file.name, model, "fails", detail=wrong)
    return Row(file.name, model, "trains", evaluates, f"{time.monotonic() - began:.0f} s")


def evaluation_of(config: TrainConfig) -> str:
    """Return what a config asks for while it trains: names of metrics, `pictures` or `nothing`."""
    validation = config.validation
    if validation is None or validation.interval < 1 or not validation.has_results:
        return NOTHING
    return ", ".join(sorted(validation.metrics)) or "pictures"


def _run(limits: Limits, file: Path, flags: Sequence[str], options: Sequence[str]) -> str:
    """Run tools/main.py and return what went wrong, "" if nothing."""
    home = str(limits.scratch / "home")
    try:
        done = subprocess.run(
            [sys.executable, str(MAIN), "-c", str(file.resolve()), *flags, "-o", *options],
            cwd=limits.scratch,
            env={**os.environ, "PPZOO_HOME": home, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=limits.seconds,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {limits.seconds:.0f} s"
    if done.returncode:
        return f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
    return ""


def _what_is_missing(output: Path, *, is_evaluated: bool) -> str:
    """Return what a run lacks of two steps and an evaluation, "" if nothing."""
    logs = [path.read_text("utf-8") for path in output.glob("*/log.txt")]
    if len(logs) != 1 or len(list(output.glob("*/iter_2_weight.pdparams"))) != 1:
        return "it left no weights"
    if ("Test iter" in logs[0]) != is_evaluated:
        return "it was not evaluated" if is_evaluated else "it was evaluated without being asked"
    return ""


def table(rows: Iterable[Row]) -> str:
    """Return the table and what its words mean, as Markdown."""
    rows = sorted(rows, key=lambda row: row.file)
    trains = sum(row.result == "trains" for row in rows)
    return "\n".join(
        [
            "<!-- `python tools/paddlegan_configs.py PATH/TO/PaddleGAN/configs --train --write "
            "docs/migrating.md` writes this. -->",
            f"Of PaddleGAN's {len(rows)} files, {trains} train and {len(rows) - trains} parse.",
            "*trains*: the file itself took two steps, with nothing changed but, by `-o`, the",
            "paths of its data (drawn for it), the length, the intervals, the seed, the device (a",
            "CPU) and the batch size (at most 2); random weights stood in for the official ones of",
            "losses, metrics and teachers. *evaluates*: what the file asks for while it trains,",
            "and got. Where that is *nothing*, it has no `validate`, or neither metrics nor",
            "`save_img` in it; the trained weights then drew pictures of the test data, by",
            "`--evaluate-only --load`.",
            "*parses*: the whole file is read, and all that ppzoo knows in it is checked; one",
            "sentence names what ppzoo does not have yet, and training ends with it.",
            "",
            f"PaddleGAN 的 {len(rows)} 个配置文件中，{trains} 个可以训练（trains），"
            f"{len(rows) - trains} 个可以解析（parses）。",
            "*trains*：原文件训练两步，只用 `-o` 改了数据路径（数据为程序绘制）、训练长度、间隔、"
            "随机种子、设备（CPU）与批大小（至多 2）；损失、指标与教师网络以随机权重代替官方权重。",
            "*evaluates*：该文件在训练中要求的评测，均已完成。*nothing* 表示文件没有 `validate`，"
            "或其中既无指标也无 `save_img`；训练后另用 `--evaluate-only --load` 绘制了测试图片。",
            "*parses*：整个文件被读取，其中 ppzoo 已有的部分都经过检查；"
            "报错只有一句话，说明 ppzoo 还没有什么。",
            "",
            *HEAD,
            *(row.line for row in rows),
        ]
    )


def read_table(text: str) -> list[Row]:
    """Return the rows of the table in a text.

    Raises:
        ConfigError: the text has no place for the table.
    """
    _, _, rest = text.partition(BEGIN)
    inside, end, _ = rest.partition(END)
    if not end:
        raise ConfigError(f"there is no {BEGIN} with {END} behind it, where the table would be")
    found = [ROW.match(line) for line in inside.splitlines()]
    return [
        Row(match["file"], match["model"], match["result"], match["evaluates"])
        for match in found
        if match
    ]


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Put rows into the table in a file; those of other files stay.

    Raises:
        ConfigError: the file has no place for it.
        UserError: it cannot be read or written.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    merged = {row.file: row for row in [*read_table(text), *rows]}
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    with atomic_write(path) as file:
        new = f"{before}{BEGIN}\n{table(merged.values())}\n{END}{after}"
        file.write(new.encode("utf-8"))


if __name__ == "__main__":
    sys.exit(main())
