# SPDX-License-Identifier: Apache-2.0
"""Measure single pictures through generators: python tools/benchmark/inference.py

For each row, processes translate the same random picture, in turn, in one session:
- `paddle`: Paddle's own layers, as installed, on one thread;
- `dynamic`, `static`, `inference`, `onnx`: the backends of ppzoo/apps/inference.py;
- `torch`: a twin in eager PyTorch, see bench.py.
Medians go to docs/benchmarks.json, under `inference`, and into the second table of
docs/benchmarks.md. Backends whose packages are missing are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402
from ppzoo.apps.backends import is_installed  # noqa: E402
from tools.benchmark.bench import add_common_options, torch_python  # noqa: E402
from tools.benchmark.rounds import Variant, alternate, replace_between  # noqa: E402
from tools.benchmark.rows import INFERENCE_ROWS, ROWS  # noqa: E402

BEGIN, END = "<!-- inference table -->", "<!-- end of inference table -->"
_SCRIPT = "inference_worker.py"
VARIANTS = {
    "paddle": Variant(
        "Paddle as installed", _SCRIPT, ("dynamic", "--plain"), (("PPZOO_RUNTIME", "off"),)
    ),
    "dynamic": Variant("ppzoo, dynamic", _SCRIPT, ("dynamic",)),
    "static": Variant("static graph", _SCRIPT, ("static",)),
    "inference": Variant("Paddle Inference, oneDNN", _SCRIPT, ("inference",)),
    "onnx": Variant("ONNX Runtime", _SCRIPT, ("onnx",)),
    "torch": Variant("PyTorch eager", "torch_inference_worker.py"),
}
_OURS = ("dynamic", "static", "inference", "onnx")


def measure(name: str, pythons: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Return the milliseconds a picture of each variant: the median, and the range, of rounds."""
    workers = {variant: (python, VARIANTS[variant]) for variant, python in pythons.items()}
    return {
        variant: {
            "milliseconds": 1000 * seconds.median,
            "fastest": 1000 * seconds.least,
            "slowest": 1000 * seconds.most,
            **seconds.facts,
        }
        for variant, seconds in alternate(name, workers, rounds, idle_steps=2).items()
    }


def table(rows: dict[str, Any]) -> str:
    """Return the table of all rows as Markdown; the fastest backend of ours is bold."""
    variants = [v for v in VARIANTS if any(v in row["variants"] for row in rows.values())]
    head = ["images/s", *(VARIANTS[v].title for v in variants), "fastest of ours / PyTorch"]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for row in rows.values():
        times = {v: r["milliseconds"] for v, r in row["variants"].items()}
        ours = {v: times[v] for v in _OURS if v in times}
        best = min(ours, key=ours.__getitem__) if ours else None
        cells = [f"{1000 / times[v]:.2f}" if v in times else "" for v in variants]
        cells = [f"**{c}**" if v == best else c for v, c in zip(variants, cells, strict=True)]
        ratio = f"**{times['torch'] / ours[best]:.2f}**" if best and "torch" in times else ""
        lines.append([row["title"], *cells, ratio])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report(rows: dict[str, Any], facts: dict[str, Any], folder: Path) -> None:
    """Write the rows to docs/benchmarks.json and the second table of docs/benchmarks.md."""
    path = folder / "benchmarks.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    old = results.get("inference", {}).get("rows", {}) | rows
    rows = {name: old[name] for name in INFERENCE_ROWS if name in old}
    results["inference"] = facts | {"rows": rows}
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    replace_between(folder / "benchmarks.md", BEGIN, END, table(rows))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = result.add_argument
    add("--only", nargs="+", choices=INFERENCE_ROWS, default=list(INFERENCE_ROWS), metavar="ROW")
    add("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    add("--rounds", type=int, default=9, help="pictures of each variant")
    add_common_options(result)
    return result


def main() -> None:
    """Measure what the command line asks for."""
    args = parser().parse_args()
    pythons = {
        name: torch_python(args.venv) if name == "torch" else Path(sys.executable)
        for name in args.variants
        if is_installed(name)
    }
    rows = {}
    for name in args.only:
        print(f"{ROWS[name].title}: {args.rounds} rounds of {', '.join(pythons)}", flush=True)
        variants = measure(name, pythons, args.rounds)
        rows[name] = {"title": ROWS[name].title, "variants": variants}
        for variant, result in variants.items():
            print(
                f"  {variant:9} {result['milliseconds']:8.1f} ms "
                f"({result['fastest']:.1f} to {result['slowest']:.1f}); products "
                f"{result['products']:.0f} GFLOP/s; {result['version']}; {result['runtime']}",
                flush=True,
            )
    print(table(rows))
    if not args.dry_run:
        facts = {
            "processor": ppzoo.runtime.configure().processor,
            "cores": ppzoo.runtime.physical_cores(),
        }
        report(rows, facts, ROOT / "docs")


if __name__ == "__main__":
    main()
