# SPDX-License-Identifier: Apache-2.0
"""Measure training on the CPU, with PyTorch beside: python tools/benchmark/bench.py

For each row, processes train the same model on random pictures, in turn, in one session:
- `paddle`: Paddle's own layers, as installed, on one thread;
- `settings`: the same with ppzoo's runtime settings;
- `ppzoo`: with ppzoo's layers and optimizer options too;
- `torch`: a twin in eager PyTorch, in an environment of its own that is made at the first run.
Medians go to docs/benchmarks.json and into the table of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402
from tools.benchmark.rounds import Variant, alternate, replace_between  # noqa: E402
from tools.benchmark.rows import ROWS, Row  # noqa: E402

TORCH = ("torch==2.13.0", "torchvision==0.28.0", "numpy")
BEGIN, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
VARIANTS = {
    "paddle": Variant(
        "Paddle as installed", "paddle_worker.py", ("--plain",), (("PPZOO_RUNTIME", "off"),)
    ),
    "settings": Variant("with settings", "paddle_worker.py", ("--plain",)),
    "ppzoo": Variant("ppzoo", "paddle_worker.py"),
    "torch": Variant("PyTorch eager", "torch_worker.py"),
}


def torch_python(folder: Path) -> Path:
    """Return the interpreter of an environment with PyTorch, made in `folder` if need be."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    begun, complete = folder / "begun-by-ppzoo", folder / "complete"
    if complete.exists():
        return python
    if folder.is_dir() and any(folder.iterdir()) and not begun.exists():
        # Somebody else's, which is not to be made anew.
        probe = [str(python), "-c", "import torch"]
        if python.exists() and not subprocess.run(probe, check=False).returncode:
            return python
        raise SystemExit(f"--venv {folder} is no environment with PyTorch: name a new folder")
    print(f"Making an environment with {TORCH[0]} in {folder}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    begun.write_text(TORCH[0], encoding="utf-8")
    subprocess.run([str(python), "-m", "pip", "install", "-q", *TORCH], check=True)
    complete.write_text(TORCH[0], encoding="utf-8")
    return python


def measure(name: str, row: Row, pythons: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Return the images/s of each variant: the median, and the range, of alternating rounds."""
    images = row.steps * row.images[0]
    workers = {variant: (python, VARIANTS[variant]) for variant, python in pythons.items()}
    measured = alternate(name, workers, rounds, row.steps, row.steps)
    return {
        variant: {
            "images_per_second": images / seconds.median,
            "slowest": images / seconds.most,
            "fastest": images / seconds.least,
            **seconds.facts,
        }
        for variant, seconds in measured.items()
    }


def table(results: dict[str, Any]) -> str:
    """Return the table of all rows as Markdown."""
    variants = [v for v in VARIANTS if any(v in r["variants"] for r in results["rows"].values())]
    head = ["images/s", *(VARIANTS[v].title for v in variants), "ppzoo / PyTorch", "of peak"]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for row in results["rows"].values():
        speeds = {v: r["images_per_second"] for v, r in row["variants"].items()}
        cells = [_figure(speeds[v]) if v in speeds else "" for v in variants]
        both = "ppzoo" in speeds and "torch" in speeds
        ratio = f"**{speeds['ppzoo'] / speeds['torch']:.2f}**" if both else ""
        share = ""
        if both:
            gflops = speeds["ppzoo"] * row["variants"]["torch"]["gflop_per_image"]
            share = f"{gflops / row['variants']['ppzoo']['products']:.0%}"
        lines.append([row["title"], *cells, ratio, share])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _figure(speed: float) -> str:
    return f"{speed:.1f}" if speed >= 1 else f"{speed:.2g}"


def report(results: dict[str, Any], folder: Path) -> None:
    """Write docs/benchmarks.json and the table of docs/benchmarks.md."""
    path = folder / "benchmarks.json"
    if path.exists():  # rows that were not measured now stay
        old = json.loads(path.read_text(encoding="utf-8"))
        rows = old["rows"] | results["rows"]
        # What other programs have measured stays, too.
        results = old | results | {"rows": {k: rows[k] for k in ROWS if k in rows}}
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    replace_between(folder / "benchmarks.md", BEGIN, END, table(results))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    result.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    result.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    result.add_argument("--rounds", type=int, default=7, help="measurements of each variant")
    add_common_options(result)
    return result


def add_common_options(result: argparse.ArgumentParser) -> None:
    """Add the options of all that compares with PyTorch and writes a table."""
    home = Path(os.environ.get("PPZOO_HOME") or Path.home() / ".cache" / "ppzoo")
    result.add_argument(
        "--venv", type=Path, default=home / "benchmark" / "torch", help="where PyTorch is, or goes"
    )
    result.add_argument(
        "--dry-run", action="store_true", help="print the table without writing it to docs/"
    )


def main() -> None:
    """Measure what the command line asks for."""
    args = parser().parse_args()
    pythons = {
        name: torch_python(args.venv) if name == "torch" else Path(sys.executable)
        for name in args.variants
    }
    results: dict[str, Any] = {
        "processor": ppzoo.runtime.configure().processor,
        "cores": ppzoo.runtime.physical_cores(),
        "python": platform.python_version(),
        "rows": {},
    }
    for name in args.only:
        print(f"{ROWS[name].title}: {args.rounds} rounds of {', '.join(pythons)}", flush=True)
        variants = measure(name, ROWS[name], pythons, args.rounds)
        results["rows"][name] = {"title": ROWS[name].title, "variants": variants}
        for variant, result in variants.items():
            print(
                f"  {variant:9} {result['images_per_second']:8.1f} images/s "
                f"({result['slowest']:.1f} to {result['fastest']:.1f}); products "
                f"{result['products']:.0f} GFLOP/s; {result['version']}; {result['runtime']}"
            )
    print(table(results))
    if not args.dry_run:
        report(results, ROOT / "docs")


if __name__ == "__main__":
    main()
