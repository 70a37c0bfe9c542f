# SPDX-License-Identifier: Apache-2.0
"""The benchmark's table and report; its workers train on demand."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools.benchmark import bench, inference, rounds
from tools.benchmark.rows import INFERENCE_ROWS, ROWS

HERE = rounds.HERE


def results(**speeds: float) -> dict[str, Any]:
    facts = {"products": 100.0, "gflop_per_image": 2.0, "version": "1", "runtime": "r"}
    variants = {
        name: {"images_per_second": speed, "slowest": speed, "fastest": speed, **facts}
        for name, speed in speeds.items()
    }
    return {"processor": "P", "rows": {"dcgan64": {"title": "DCGAN", "variants": variants}}}


def test_table_shows_speeds_ratio_and_share_of_the_peak() -> None:
    lines = bench.table(results(paddle=4.0, settings=8.0, ppzoo=30.0, torch=20.0)).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| DCGAN | 4.0 | 8.0 | 30.0 | 20.0 | **1.50** | 60% |"


def test_table_without_pytorch_has_no_ratio() -> None:
    line = bench.table(results(ppzoo=30.0)).splitlines()[2]
    assert line == "| DCGAN | 30.0 |  |  |"


def test_report_replaces_the_table_and_keeps_rows_that_were_not_measured(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n", encoding="utf-8")
    older = results(ppzoo=1.0)
    older["rows"]["wgan28"] = older["rows"]["dcgan64"] | {"title": "WGAN"}
    (tmp_path / "benchmarks.json").write_text(json.dumps(older), encoding="utf-8")
    bench.report(results(ppzoo=30.0), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{bench.BEGIN}\n| images/s |")
    assert text.endswith(f"{bench.END}\nafter\n")
    assert "| DCGAN | 30.0 |" in text
    assert "| WGAN | 1.0 |" in text
    assert "old" not in text
    stored = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    assert list(stored["rows"]) == ["dcgan64", "wgan28"]


def test_page_has_the_places_that_the_report_fills() -> None:
    page = (bench.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.index(bench.BEGIN) < page.index(bench.END)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_its_config_and_its_twin(name: str) -> None:
    assert (bench.ROOT / ROWS[name].config).is_file()
    twins = ast.parse((HERE / "twins.py").read_text(encoding="utf-8")).body[-1]
    assert isinstance(twins, ast.Assign)
    assert name in [key.value for key in twins.value.keys]


@pytest.mark.parametrize("name", INFERENCE_ROWS)
def test_every_generator_has_its_twin(name: str) -> None:
    body = ast.parse((HERE / "twins.py").read_text(encoding="utf-8")).body
    (twins,) = (n for n in body if isinstance(n, ast.Assign) and n.targets[0].id == "GENERATORS")
    assert name in [key.value for key in twins.value.keys]
    spec = INFERENCE_ROWS[name].generator
    if isinstance(spec, str):
        assert (bench.ROOT / spec).is_file()


def pictures(**milliseconds: float) -> dict[str, Any]:
    variants = {k: {"milliseconds": v, "fastest": v, "slowest": v} for k, v in milliseconds.items()}
    return {"title": "U-Net", "variants": variants}


def test_table_of_single_pictures_marks_the_fastest_of_ours() -> None:
    row = pictures(paddle=500.0, dynamic=200.0, inference=100.0, torch=50.0)
    lines = inference.table({"pix2pix256": row}).splitlines()
    assert lines[2] == "| U-Net | 2.00 | 5.00 | **10.00** | 20.00 | **0.50** |  |"
    line = inference.table({"pix2pix256": pictures(static=200.0)}).splitlines()[2]
    assert line == "| U-Net | **5.00** |  |  |"


def test_table_of_single_pictures_tells_the_share_of_the_peak_and_who_refuses() -> None:
    row = pictures(dynamic=200.0, torch=400.0)
    row["variants"]["onnx"] = {"refused": "it cannot be converted"}
    row["variants"]["dynamic"]["products"] = 100.0
    row["variants"]["torch"]["gflop_per_image"] = 15.0
    line = inference.table({"rrdb128": row}).splitlines()[2]
    assert line == "| U-Net | **5.00** | refused | 2.50 | **2.00** | 75% |"


def test_reports_leave_each_other_alone(tmp_path: Path) -> None:
    marks = (bench.BEGIN, bench.END, inference.BEGIN, inference.END)
    (tmp_path / "benchmarks.md").write_text("\n".join(marks), encoding="utf-8")
    bench.report(results(ppzoo=1.0), tmp_path)
    inference.report({"ugatit256": pictures(static=100.0)}, {"cores": 2}, tmp_path)
    inference.report({"pix2pix256": pictures(static=200.0)}, {"cores": 3}, tmp_path)
    bench.report(results(ppzoo=30.0), tmp_path)
    stored = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    assert stored["inference"]["cores"] == 3
    assert list(stored["inference"]["rows"]) == ["pix2pix256", "ugatit256"]
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| DCGAN | 30.0 |" in text
    assert "| U-Net | **10.00** |" in text
    page = (bench.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.index(inference.BEGIN) < page.index(inference.END)


def test_no_variant_inherits_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    script = tmp_path / "probe.py"
    script.write_text(
        "import json, os\n"
        "names = [n for n in os.environ if n.startswith(('MKL', 'OMP', 'PPZOO_RUNTIME'))]\n"
        "print('noise')\n"
        "print(json.dumps({'names': names}), flush=True)\n"
        "print(json.dumps({'seconds': float(input())}), flush=True)\n"
    )
    variant = rounds.Variant("t", str(script), (), (("PPZOO_RUNTIME", "off"),))
    worker = rounds.Worker(Path(sys.executable), variant, "dcgan64")
    assert worker.facts == {"names": ["PPZOO_RUNTIME"]}
    assert worker.run(3) == 3.0
    worker.close()


def test_variants_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = tmp_path / "worker.py"
    script.write_text(
        "import json, sys\n"
        "row, name = sys.argv[1:]\n"
        "print(json.dumps({'name': name, 'row': row}), flush=True)\n"
        "for number, line in enumerate(sys.stdin):\n"
        f"    print(name, int(line), file=open({str(log)!r}, 'a'))\n"
        "    print(json.dumps({'seconds': float((0, 3, 1, 8)[number])}), flush=True)\n"
    )
    variants = {
        name: (Path(sys.executable), rounds.Variant(name, str(script), (name,))) for name in "ab"
    }
    seconds = rounds.alternate("r", variants, rounds=3, steps=2, idle_steps=5)
    assert log.read_text().splitlines() == ["a 5", "b 5", *["a 2", "b 2"] * 3]
    assert [seconds[name].facts for name in "ab"] == [{"name": name, "row": "r"} for name in "ab"]
    a = seconds["a"]
    assert (a.rounds, a.median, a.least, a.most) == ((3.0, 1.0, 8.0), 3.0, 1.0, 8.0)


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_worker_trains_as_told(options: tuple[str, ...]) -> None:
    process = subprocess.run(
        [sys.executable, str(HERE / "paddle_worker.py"), "wgan28", *options],
        input="1\n1\n",
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    assert lines[0]["products"] > 0
    assert len(lines) == 3
    assert all(line["seconds"] > 0 for line in lines[1:])


def test_variant_that_is_refused_takes_no_turns(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text('print(\'{"refused": "it cannot"}\')')
    variants = {"a": (Path(sys.executable), rounds.Variant("a", str(script)))}
    (seconds,) = rounds.alternate("r", variants, rounds=2).values()
    assert (seconds.rounds, seconds.facts) == ((), {"refused": "it cannot"})


def test_inference_worker_translates_as_told(tmp_path: Path) -> None:
    file = tmp_path / "example.npz"
    process = subprocess.run(
        [
            *(sys.executable, str(HERE / "inference_worker.py"), "pix2pix256", "dynamic"),
            *("--plain", "--write", str(file)),
        ],
        input="1\n",
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    assert lines[0]["products"] > 0
    assert lines[1]["seconds"] > 0
    with np.load(file) as arrays:
        assert arrays["input0"].shape == arrays["output"].shape == (1, 3, 256, 256)
        weights = [arrays[name] for name in arrays.files if name.startswith("weight.")]
    assert len(weights) > 30
    assert all(weight.any() for weight in weights)


def test_operations_of_rrdb_are_those_of_its_convolutions() -> None:
    stored = json.loads((bench.ROOT / "docs/benchmarks.json").read_text(encoding="utf-8"))
    blocks = 23 * 3 * (64 * 32 + 96 * 32 + 128 * 32 + 160 * 32 + 192 * 64)
    at_128, at_256, at_512 = 3 * 64 + blocks + 64 * 64, 64 * 64, 2 * 64 * 64 + 64 * 3
    products = 9 * 128**2 * (at_128 + 4 * at_256 + 16 * at_512)
    rrdb = stored["inference"]["rows"]["rrdb128"]["variants"]["torch"]
    assert rrdb["gflop_per_image"] == pytest.approx(2 * products / 1e9)
    assert rrdb["deviation"] < 1e-3


def test_environment_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit, match="no environment with PyTorch: name a new folder"):
        bench.torch_python(tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    python.chmod(0o755)
    assert bench.torch_python(tmp_path) == python
    assert (tmp_path / "precious.txt").read_text(encoding="utf-8") == "mine"


def test_worker_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="code 3"):
        rounds.Worker(Path(sys.executable), rounds.Variant("t", str(script)), "dcgan64")
