# SPDX-License-Identifier: Apache-2.0
"""Measure single pictures through generators: python tools/benchmark/inference.py

For each row, processes run the same random picture, or window of frames, in turn, in one session:
- `paddle`: Paddle's own layers, as installed, on one thread;
- `dynamic`, `static`, `inference`, `onnx`: the backends of ppzoo/apps/inference.py;
- `torch`: a twin in eager PyTorch, see bench.py.
What ppzoo takes by itself (`default`) is found out once. Where the twin has the same weights, its
result is compared first. Medians go to docs/benchmarks.json, under `inference`, and into the second
table of docs/benchmarks.md. Backends whose packages are missing are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402
from ppzoo.apps.backends import TOLERANCE, is_installed  # noqa: E402
from tools.benchmark.bench import add_common_options, torch_python  # noqa: E402
from tools.benchmark.rounds import (  # noqa: E402
    Seconds,
    Variant,
    Worker,
    alternate,
    replace_between,
)
from tools.benchmark.rows import INFERENCE_ROWS  # noqa: E402

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
    """Return the milliseconds a picture of each variant: the median, and the range, of rounds.

    Or why it is `refused`; and what ppzoo says of the backend that it takes by itself.
    """
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
        # All find in one cache what the first of them has exported.
        place = ("PPZOO_HOME", folder)
        workers = {
            variant: (python, dataclasses.replace(VARIANTS[variant], environment=(place,)))
            for variant, python in pythons.items()
        }
        if "paddle" in workers:
            workers["paddle"] = (pythons["paddle"], VARIANTS["paddle"])
        file = str(Path(folder) / "example.npz")
        writer = Variant("", _SCRIPT, ("default", "--write", file), (place,))
        worker = Worker(Path(sys.executable), writer, name)
        worker.close()
        if "torch" in workers and INFERENCE_ROWS[name].shares_weights:
            twin = dataclasses.replace(VARIANTS["torch"], options=(file,))
            workers["torch"] = (pythons["torch"], twin)
        measured = alternate(name, workers, rounds)
    deviation = measured["torch"].facts.get("deviation", 0.0) if "torch" in measured else 0.0
    if not deviation <= TOLERANCE:
        raise SystemExit(f"{name}: the twin's result differs by {deviation:.2g}")
    pictures = INFERENCE_ROWS[name].pictures
    variants = {variant: _entry(seconds, pictures) for variant, seconds in measured.items()}
    return {"default": worker.facts["backend"], "variants": variants}


def _entry(seconds: Seconds, pictures: int) -> dict[str, Any]:
    if not seconds.rounds:
        return seconds.facts
    return {
        "milliseconds": 1000 * seconds.median / pictures,
        "fastest": 1000 * seconds.least / pictures,
        "slowest": 1000 * seconds.most / pictures,
        **seconds.facts,
    }


def table(rows: dict[str, Any]) -> str:
    """Return the table of all rows as Markdown; the fastest backend of ours is bold."""
    variants = [v for v in VARIANTS if any(v in row["variants"] for row in rows.values())]
    ends = ["fastest of ours / PyTorch", "of peak"]
    head = ["images/s", *(VARIANTS[v].title for v in variants), *ends]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for row in rows.values():
        facts = row["variants"]
        times = {v: r["milliseconds"] for v, r in facts.items() if "milliseconds" in r}
        ours = {v: times[v] for v in _OURS if v in times}
        best = min(ours, key=ours.__getitem__) if ours else None
        cells = [
            f"{1000 / times[v]:.2f}" if v in times else "refused" if v in facts else ""
            for v in variants
        ]
        cells = [f"**{c}**" if v == best else c for v, c in zip(variants, cells, strict=True)]
        both = best is not None and "torch" in times
        ratio = f"**{times['torch'] / ours[best]:.2f}**" if both else ""
        share = ""
        if both and "gflop_per_image" in facts["torch"]:
            gflops = 1000 * facts["torch"]["gflop_per_image"] / ours[best]
            # Each process has measured products; what keeps them back is other work, not itself.
            share = f"{gflops / max(r.get('products', 0.0) for r in facts.values()):.0%}"
        lines.append([row["title"], *cells, ratio, share])
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


def _line(result: dict[str, Any]) -> str:
    if "refused" in result:
        return f"refused: {result['refused']}"
    twin = f"; differs by {result['deviation']:.1g}" if "deviation" in result else ""
    return (
        f"{result['milliseconds']:8.1f} ms ({result['fastest']:.1f} to {result['slowest']:.1f}); "
        f"products {result['products']:.0f} GFLOP/s; {result['version']}; {result['runtime']}{twin}"
    )


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
        title = INFERENCE_ROWS[name].title
        print(f"{title}: {args.rounds} rounds of {', '.join(pythons)}", flush=True)
        rows[name] = {"title": title} | measure(name, pythons, args.rounds)
        print(f"  by default: {rows[name]['default']}")
        for variant, result in rows[name]["variants"].items():
            print(f"  {variant:9} {_line(result)}", flush=True)
    print(table(rows))
    if not args.dry_run:
        facts = {
            "processor": ppzoo.runtime.configure().processor,
            "cores": ppzoo.runtime.physical_cores(),
        }
        report(rows, facts, ROOT / "docs")


if __name__ == "__main__":
    main()
