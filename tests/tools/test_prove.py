# SPDX-License-Identifier: Apache-2.0
"""What the proofs recorded is what the pages say, in either language."""

from __future__ import annotations

import json
import re

import pytest

from tools import prove

MODELS = prove.ROOT / "docs" / "models"
ROWS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(MODELS.glob("*.json"))}


def between(path, label):
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- {label} -->(.*?)<!-- /{label} -->", text, re.DOTALL)
    return found


def test_every_proof_is_recorded_and_holds():
    assert len(ROWS) > 15
    assert ROWS.keys() == prove.PROOFS.keys()
    for name, row in ROWS.items():
        assert row["name"] == name
        assert row["holds"] is True
        assert row["claim"] == prove.PROOFS[name].claim
        assert row["config"] == prove.PROOFS[name].config


@pytest.mark.parametrize("name", ROWS)
def test_recorded_figures_are_inside_the_margins_of_today(name):
    figures, baseline = ROWS[name]["figures"], ROWS[name]["baseline"]
    for margin in prove.PROOFS[name].margins:
        low, high = margin.limits(baseline)
        assert low <= figures[margin.figure] <= high, margin


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_front_pages_have_the_recorded_figures(name, readme):
    said = between(prove.ROOT / readme, f"proof {name}")
    assert said == prove.front_page_figures(name, ROWS[name], chinese=readme != "README.md")


@pytest.mark.parametrize("name", ROWS)
def test_model_pages_have_the_recorded_figures(name):
    family, _, stage = name.partition("_")
    said = between(MODELS / f"{family}.md", f"proof {stage}".rstrip())
    assert f"seed {ROWS[name]['seed']}: `python tools/prove.py {name}`" in said
    for key, value in ROWS[name]["figures"].items():
        if key in ROWS[name]["baseline"]:
            before = ROWS[name]["baseline"][key]
            assert f"| {key.removeprefix('digits_')} | {value:.4g} | {before:.4g} |" in said


def test_front_page_figures_speak_either_language():
    row = {"figures": {"psnr": 21.2477, "gmsd": 0.1379}, "baseline": {"psnr": 19.7, "gmsd": 0.1429}}
    english = prove.front_page_figures("pix2pix", row, chinese=False)
    assert english == "21.2 dB (19.7), error of edges 0.138 (0.143)"
    chinese = prove.front_page_figures("pix2pix", row, chinese=True)
    assert chinese == "21.2 dB（基线 19.7），边缘误差 0.138（基线 0.143）"


def test_a_proof_writes_both_front_pages(tmp_path, monkeypatch):
    (tmp_path / "docs/models").mkdir(parents=True)
    (tmp_path / "docs/models/pix2pix.md").write_text("<!-- proof -->\n<!-- /proof -->\n", "utf-8")
    for name in ("README.md", "README.zh-CN.md"):
        (tmp_path / name).write_text("| <!-- proof pix2pix -->?<!-- /proof pix2pix --> |", "utf-8")
    monkeypatch.setattr(prove, "ROOT", tmp_path)
    prove._write_row("pix2pix", ROWS["pix2pix"])
    for name, word in (("README.md", "edges"), ("README.zh-CN.md", "边缘误差")):
        assert word in between(tmp_path / name, "proof pix2pix")
    assert "| gmsd | 0.1379 |" in between(tmp_path / "docs/models/pix2pix.md", "proof")
