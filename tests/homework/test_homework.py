# SPDX-License-Identifier: Apache-2.0
"""The homework: solutions are right, students' versions are fresh, mistakes get their feedback."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from ppzoo.course.cage import missing_isolation
from ppzoo.course.grade import grade
from ppzoo.course.kernel import Limits
from ppzoo.course.notebooks import graded_cells, is_solution, is_tests, mark_of
from tests.course.notebooks import (
    DAYS,
    HOMEWORK,
    cell_of,
    hand_in,
    run_here,
    solved,
    students,
    teachers,
)
from tools.homework import LETTERS, ROOT, STUB, refresh

CODE_DAYS = ("day2", "day3", "day4", "day5", "day6")


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(code: str) -> str:
        assert old in code, f"the solution no longer has {old!r}"
        return code.replace(old, new)

    return change


def test_there_is_homework_for_six_days() -> None:
    assert [*DAYS] == ["day1", "day2", "day3", "day4", "day5", "day6"]


def test_the_release_is_what_nbgrader_makes_of_the_source() -> None:
    assert refresh(HOMEWORK, write=False) == []


def test_what_jupyter_leaves_beside_a_notebook_is_no_homework(tmp_path: Path) -> None:
    for part in ("source", "release"):
        shutil.copytree(HOMEWORK / part / "day1", tmp_path / part / "day1")
        for place in (tmp_path / part, tmp_path / part / "day1"):
            (place / ".ipynb_checkpoints").mkdir(exist_ok=True)
            shutil.copy(HOMEWORK / "source/day1/day1.ipynb", place / ".ipynb_checkpoints")
            (place / ".DS_Store").write_bytes(b"of a Mac")
    assert refresh(tmp_path, write=False) == []


def test_a_folder_without_homework_is_not_called_fresh(tmp_path: Path) -> None:
    (tmp_path / "source" / "day1").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "nowhere"):
        run = subprocess.run(
            [sys.executable, "-B", ROOT / "tools/homework.py", "--check", "--homework", folder],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 1
        assert run.stderr.startswith(f"error: {folder} has no notebooks: expected source/day1")
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize("day", DAYS)
def test_students_see_neither_solutions_nor_hidden_tests(day: str) -> None:
    source, release = teachers(day), students(day)
    assert len(release.cells) == len(source.cells)
    text = (HOMEWORK / f"release/{day}/{day}.ipynb").read_text("utf-8")
    assert "BEGIN SOLUTION" not in text
    assert "BEGIN HIDDEN" not in text
    assert "judge(" not in text
    assert "YOUR CODE HERE" in text
    assert all(tests.hidden for tests in graded_cells(source).values())
    assert not any(tests.hidden for tests in graded_cells(release).values())


@pytest.mark.parametrize("day", DAYS)
def test_blanks_show_nothing_and_answers_are_one_line(day: str) -> None:
    for cell in filter(is_solution, students(day).cells):
        lines = cell["source"].splitlines()
        assert "..." not in [line.strip() for line in lines]  # Jupyter would show an ellipsis
        if "-answer-" in mark_of(cell)["grade_id"]:
            number = mark_of(cell)["grade_id"][-1]
            assert lines == [f'answer_{number} = ""  {LETTERS}']
        else:
            assert STUB in [line.strip() for line in lines]


@pytest.mark.parametrize("day", [day for day in DAYS if day != "day1"])
def test_visible_tests_say_that_they_pass(day: str) -> None:
    for name, tests in graded_cells(students(day)).items():
        if "-test-" in name:
            last = tests.visible.strip().splitlines()[-1]
            assert last == 'print("✓ visible tests pass · 可见测试通过")'


@pytest.mark.parametrize("day", DAYS)
def test_visible_tests_leave_students_names_alone(day: str) -> None:
    for tests in graded_cells(teachers(day)).values():
        names = assigned_in(tests.visible)
        assert [name for name in names if not re.match("_[a-z]", name)] == [], tests.name


def assigned_in(code: str) -> list[str]:
    """Return the names that code gives values to, but for imports and what is inside of functions.

    Those of comprehensions are their own.
    """
    found: list[str] = []
    nodes: list[ast.AST] = [ast.parse(code)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.append(node.id)
        elif not isinstance(node, ast.comprehension | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return found


def test_names_that_code_gives_values_to_are_found() -> None:
    code = "x = [(z := y) for y in [1]]\nfor a, _b in x:\n    with c() as d: pass\n"
    assert sorted(assigned_in(f"{code}def f(g): h = 1\nimport os")) == [
        "_b",
        "a",
        "d",
        "f",
        "x",
        "z",
    ]


@pytest.mark.parametrize("day", ["day2", "day3"])
def test_ppzoo_is_imported_before_paddle(day: str) -> None:
    first = next(cell for cell in students(day).cells if cell["cell_type"] == "code")
    assert first["source"].startswith("import ppzoo ")
    assert "paddle" not in first["source"].replace("Paddle starts", "").replace("import ppzoo", "")


@pytest.mark.parametrize("day", [day for day in DAYS if day != "day1"])
def test_visible_tests_refuse_blanks(
    day: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blank = {
        mark_of(cell)["grade_id"]: lambda _, code=cell["source"]: code
        for cell in students(day).cells
        if is_solution(cell)
    }
    said = run_here(day, tmp_path, blank, errors=Exception, hidden=False)
    assert all(text for name, text in said.items() if "-test-" in name), said


# The cell of a solution, what is wrong about it, and the cell of tests that shows it at once.
SEEN_AT_ONCE = [
    ("day2", "discriminator", "nn.Conv2D(4 * c, 1, 4),", "nn.Conv2D(4 * c, 1, 4), nn.Sigmoid(),"),
    ("day2", "losses", "return real + fake", "return real"),
    ("day2", "losses", "return real + fake", "return 9 * (real + fake)"),
    ("day2", "losses", "mse_loss(fake_scores, paddle.ones", "mse_loss(fake_scores, paddle.zeros"),
    ("day2", "training", "Adam(2e-4", "Adam(2e-3"),
    ("day3", "split", "/ 127.5 - 1", "/ 255"),
    ("day3", "blocks", "stride=2, padding=1", "stride=1, padding=1"),
    ("day3", "losses", "100 * F.l1_loss", "F.l1_loss"),
    ("day3", "losses", "F.l1_loss", "F.mse_loss"),
    ("day4", "restore", "cv2.bilateralFilter(frame, 7, 80, 2)", "frame"),
    ("day4", "restore", "resize_bicubic(frame, 2)", "resize_bicubic(frame, 4)"),
    ("day5", "motion", "return source + driving - driving[:1]", "return driving"),
    ("day5", "motion", "(source - moved)", "(0 * moved - source)"),
    ("day6", "measure", "ssim = calculate_ssim(picture", "ssim = 1 - calculate_ssim(picture"),
    ("day6", "measure", "psnr = calculate_psnr(picture, truth, 4, test_y_channel=True)",
     "psnr = calculate_psnr(picture, truth, 4)"),
]  # fmt: skip


@pytest.mark.parametrize(("day", "cell", "old", "new"), SEEN_AT_ONCE)
def test_visible_tests_catch_typical_mistakes(
    day: str, cell: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    change = {f"{day}-{cell}": replaced(old, new)}
    first = {name for name in graded_cells(teachers(day)) if "-test-" in name}
    said = run_here(day, tmp_path, change, first, errors=Exception, hidden=False)
    assert any(said.values()), said


@pytest.mark.parametrize("day", DAYS)
def test_cells_are_marked_and_in_both_languages(day: str) -> None:
    notebook = teachers(day)
    names = [mark_of(cell)["grade_id"] for cell in notebook.cells]
    assert len(set(names)) == len(names)
    assert any(map(is_tests, notebook.cells))
    assert any(map(is_solution, notebook.cells))
    for cell in notebook.cells:
        if cell["cell_type"] == "markdown":
            assert re.search("[\u4e00-\u9fff]", cell["source"]), cell["source"][:60]
            assert re.search("[A-Za-z]{3} [a-z]", cell["source"]), cell["source"][:60]


@pytest.mark.parametrize("day", DAYS)
def test_solutions_are_right(day: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run_here(day, tmp_path)
    assert said.keys() == graded_cells(teachers(day)).keys()
    assert said == dict.fromkeys(said, "")


@pytest.mark.parametrize("day", DAYS)
def test_blanks_get_nothing(day: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blank = {
        mark_of(cell)["grade_id"]: lambda _, code=cell["source"]: code
        for cell in students(day).cells
        if is_solution(cell)
    }
    said = run_here(day, tmp_path, blank, errors=Exception)
    assert said.keys() == graded_cells(teachers(day)).keys()
    assert all(said.values()), said


@pytest.mark.slow
def test_graded_in_earnest_solutions_get_all_and_blanks_nothing(tmp_path: Path) -> None:
    for day in DAYS:
        hand_in(tmp_path / "in", "solved", day, solved(day))
        hand_in(tmp_path / "in", "blank", day, students(day))
    limits = Limits(weak=bool(missing_isolation()))
    rows = grade(HOMEWORK, tmp_path / "in", tmp_path / "out", limits=limits, jobs=2)
    assert len(rows) == 2 * len(DAYS)
    assert {row.status for row in rows} == {"graded"}
    assert {row.note for row in rows} == {""}
    for row in rows:
        assert row.max > 0
        assert row.points == (row.max if row.student == "solved" else 0), row


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Object of type")  # of nbgrader's database
def test_nbgraders_own_autograder_judges_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    shutil.copytree(HOMEWORK / "source/day1", tmp_path / "source/day1")
    notebook = solved("day1")
    cell_of(notebook, "day1-answer-2")["source"] = 'answer_2 = "D"'
    path = hand_in(tmp_path / "submitted", "one_wrong", "day1", notebook)
    shutil.copy(HOMEWORK / "release/day1/quiz.json", path.parent)
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.db_url = f"sqlite:///{tmp_path}/gradebook.db"
    monkeypatch.chdir(tmp_path)
    # It calls `alembic` by its name, and an environment need not be activated to run tests.
    scripts = sysconfig.get_path("scripts")
    monkeypatch.setenv("PATH", os.pathsep.join([scripts, os.environ.get("PATH", "")]))
    nbgrader = NbGraderAPI(config=config)
    made = nbgrader.generate_assignment("day1", force=True, create=True)
    assert made["success"], made
    done = nbgrader.autograde("day1", "one_wrong", force=True, create=True)
    assert done["success"], done
    submission = nbgrader.get_submission("day1", "one_wrong")
    assert (submission["score"], submission["max_score"]) == (7, 8)


# The day and the number of a question, letters that are wrong, and what is said of one of them.
WRONG_LETTERS = [
    ("day1", 1, "ABD", "A GAN never needs to know which latent"),
    ("day1", 3, "AB", "is right, but something is missing"),
    ("day1", 4, "B", "The labels are exchanged"),
    ("day1", 5, "B", "adversarial training of classifiers against attacks"),
    ("day1", 6, "ABCD", "Real samples do not pass through G"),
    ("day1", 7, "ABCD", "DCGAN has no pooling"),
    ("day4", 1, "B", "sharpness is not a matter of colours"),
    ("day4", 4, "ABC", "What moves would smear"),
    ("day5", 2, "C", "The dense flow comes afterwards"),
    ("day5", 4, "ABCD", "It may be anyone"),
]


@pytest.mark.parametrize(("day", "number", "letters", "feedback"), WRONG_LETTERS)
def test_wrong_letters_get_their_feedback(
    day: str,
    number: int,
    letters: str,
    feedback: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{day}-question-{number}"
    change = {f"{day}-answer-{number}": lambda _: f'answer_{number} = "{letters}"'}
    said = run_here(day, tmp_path, change, {name})[name]
    assert feedback in said
    assert re.search("[\u4e00-\u9fff]", said)


# The cell of a solution, what is wrong about it, the cell of tests that notices, and what it says.
# ruff: noqa: E501
NEARLY_THE_ORIGINAL = """

def super_resolve(picture):
    name = "cat" if np.array_equal(picture, small["cat"]) else "flower"
    made = test[name].copy()
    made[80, 80] ^= 1
    return made
"""
MISTAKES = [
    (
        "day2",
        "discriminator",
        replaced("nn.Conv2D(4 * c, 1, 4),", "nn.Conv2D(4 * c, 1, 4), nn.Sigmoid(),"),
        "test-discriminator",
        "there is a sigmoid left",
    ),
    (
        "day2",
        "losses",
        replaced(
            "real = F.mse_loss(", "real = F.binary_cross_entropy_with_logits("
        ),
        "test-d-loss",
        "A cross entropy cannot take scores beyond",
    ),
    (
        "day2",
        "losses",
        lambda code: code.replace("ones_like(real", "ZEROS(real")
        .replace("zeros_like(fake", "ones_like(fake")
        .replace("ZEROS", "zeros_like"),
        "test-d-loss",
        "The labels are exchanged",
    ),
    (
        "day2",
        "losses",
        replaced("return F.mse_loss(fake_scores, paddle.ones_like", "return F.mse_loss(fake_scores, paddle.zeros_like"),
        "test-g-loss",
        "G wants the opposite",
    ),
    (
        "day2",
        "training",
        replaced("beta1=0.5, parameters=generator", "parameters=generator"),
        "test-optimizers",
        "beta1 of optimizer_g should be 0.5",
    ),
    (
        "day2",
        "training",
        replaced("g_loss(discriminator(fake))", "g_loss(discriminator(fake.detach()))"),
        "test-step",
        "nothing may be detached there",
    ),
    (
        "day2",
        "training",
        lambda code: code.replace("discriminator(fake.detach())", "discriminator(fake)").replace(
            "loss_d.backward()", "loss_d.backward(retain_graph=True)"
        ),
        "test-step",
        "must be detached, discriminator(fake.detach())",
    ),
    ("day3", "split", replaced("/ 127.5 - 1", "/ 255"), "test-split", "Values lie in [0, 1]"),
    (
        "day3",
        "split",
        replaced("values[:, :, :256], values[:, :, 256:]", "values[:, :, 256:], values[:, :, :256]"),
        "test-split",
        "Photo and cartoon are exchanged",
    ),
    (
        "day3",
        "generator",
        lambda code: code.replace("before = 2 * width", "before = width").replace(
            "paddle.concat([layer(x), skip], axis=1)", "layer(x) + skip"
        ),
        "test-generator",
        "skip connections joined by paddle.concat",
    ),
    (
        "day3",
        "discriminator",
        replaced("ConvBlock(4 * w, 8 * w, 1)", "ConvBlock(4 * w, 8 * w, 2)"),
        "test-discriminator",
        "should be [1, 1, 30, 30]",
    ),
    (
        "day3",
        "losses",
        replaced("100 * F.l1_loss", "F.l1_loss"),
        "test-losses",
        "weight of the L1 term is missing",
    ),
    (
        "day3",
        "losses",
        replaced("F.l1_loss", "F.mse_loss"),
        "test-losses",
        "L2 blurs more than L1",
    ),
    (
        "day4",
        "restore",
        replaced("cv2.bilateralFilter(frame, 7, 80, 2)", "frame"),
        "test-steps",
        "still has 1",
    ),
    (
        "day4",
        "restore",
        replaced("cv2.bilateralFilter(frame, 7, 80, 2)", "cv2.blur(frame, (15, 15))"),
        "test-steps",
        "denoise blurs edges",
    ),
    (
        "day4",
        "restore",
        replaced("resize_bicubic(frame, 2)", "resize_bicubic(frame, 4)"),
        "test-steps",
        "enlarge should make uint8 [64, 80, 3]",
    ),
    (
        "day4",
        "restore",
        lambda code: code.replace(
            'restore_film("old_film.mp4", "restored.mp4", steps, progress=False)',
            'film = VideoWriter("restored.mp4", 12)\nwith film:\n'
            '    for one in VideoReader("old_film.mp4"):\n        film.write(enlarge(denoise(one)))',
        ),
        "test-film",
        "The sound is lost",
    ),
    (
        "day4",
        "restore",
        replaced('steps = [EachFrame("denoise", 1, denoise), ', "steps = ["),
        "test-quality",
        "nearer to the original by more than 1 dB",
    ),
    (
        "day5",
        "motion",
        replaced("return source + driving - driving[:1]", "return driving"),
        "test-relative",
        "absolute motion",
    ),
    (
        "day5",
        "motion",
        replaced("source + driving - driving[:1]", "source - driving + driving[:1]"),
        "test-relative",
        "goes the wrong way",
    ),
    (
        "day5",
        "motion",
        replaced("driving - driving[:1]", "np.diff(driving, axis=0, prepend=driving[:1])"),
        "test-relative",
        "compared with the one before it",
    ),
    (
        "day5",
        "motion",
        replaced("(source - moved)", "(moved - source)"),
        "test-sparse",
        "This is forward",
    ),
    (
        "day5",
        "animate",
        lambda code: code.replace("warp(portrait", "np.roll(portrait, 0) if True else warp(portrait"),
        "test-animation",
        "The face does not move",
    ),
    (
        "day6",
        "measure",
        replaced("psnr = calculate_psnr(picture, truth, 4, test_y_channel=True)", "psnr = calculate_psnr(picture, truth, 4)"),
        "test-measure",
        "papers measure luma",
    ),
    (
        "day6",
        "measure",
        replaced("4, test_y_channel", "0, test_y_channel"),
        "test-measure",
        "The border is not cut off",
    ),
    (
        "day6",
        "model",
        replaced("enlarged + detail[..., None]", "enlarged"),
        "test-model",
        "This is bicubic interpolation itself",
    ),
    (
        "day6",
        "model",
        replaced("enlarged + detail[..., None]", "255 - enlarged"),
        "test-model",
        "worse than bicubic",
    ),
    (
        "day6",
        "model",
        replaced("enlarged + detail[..., None]", "enlarged + 0.06 * detail[..., None]"),
        "test-model",
        "0.1 are needed",
    ),
    (
        "day6",
        "results",
        replaced("write_image(f\"results/{name}.png\", result)", "write_image(f\"results/{name}.png\", test[name])"),
        "test-results",
        "is the original itself",
    ),
    (
        "day6",
        "results",
        replaced("psnr_gain, ssim_gain = (float(x)", "psnr_gain, ssim_gain = (2 + float(x)"),
        "test-results",
        "The gains were measured as",
    ),
    (
        "day3",
        "generator",
        replaced("self.last(x)", "self.last(paddle.concat([skips[0], skips[0]], axis=1))"),
        "test-generator",
        "have no part in the output",
    ),
    (
        "day3",
        "discriminator",
        replaced(
            "return self.layers(paddle.concat([photo, cartoon], axis=1))",
            "return F.adaptive_avg_pool2d(self.layers[0](paddle.concat([photo, cartoon], axis=1)), 30)[:, :1]",
        ),
        "test-discriminator",
        "see 70 x 70 pixels",
    ),
    (
        "day6",
        "model",
        lambda code: code + NEARLY_THE_ORIGINAL,
        "test-results",
        "nearer to the original than any model comes",
    ),
]  # fmt: skip


def test_each_day_with_code_has_five_mistakes() -> None:
    assert all(sum(day == other[0] for other in MISTAKES) >= 5 for day in CODE_DAYS)


@pytest.mark.parametrize(
    ("day", "cell", "change", "tests", "feedback"),
    MISTAKES,
    ids=[f"{m[0]}-{m[4][:30]}" for m in MISTAKES],
)
def test_a_typical_mistake_gets_its_feedback(
    day: str,
    cell: str,
    change: Callable[[str], str],
    tests: str,
    feedback: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{day}-{tests}"
    said = run_here(day, tmp_path, {f"{day}-{cell}": change}, {name})[name]
    assert feedback in said
    assert re.search("[\u4e00-\u9fff]", said)


# Right, and not as the solution does it: the cell, what is made of it, and the tests that pass.
FREEZE = """def frozen(net, are):
    for name, weight in net.named_parameters():
        if not name.endswith(("_mean", "_variance")):
            weight.stop_gradient = are


def train_step("""
OTHER_STYLES = [
    *(
        (
            day,
            cell,
            lambda code: code.replace("def train_step(", FREEZE)
            .replace("    loss_d = ", "    frozen(discriminator, False)\n    loss_d = ")
            .replace("    loss_g = ", "    frozen(discriminator, True)\n    loss_g = "),
            tests,
        )
        for day, cell, tests in (("day2", "training", "test-step"), ("day3", "train", "test-training"))
    ),
    (
        "day3",
        "discriminator",
        replaced("w = WIDTH", "w = WIDTH\n        self.unordered = nn.Conv2D(8 * w, 1, 4, padding=1)"),
        "test-discriminator",
    ),
    (
        "day3",
        "losses",
        lambda code: code.replace("entropy(real_scores, paddle.ones_like(real_scores))", "F.softplus(-real_scores).mean()")
        .replace("entropy(fake_scores, paddle.zeros_like(fake_scores))", "F.softplus(fake_scores).mean()"),
        "test-losses",
    ),
    (
        "day6",
        "model",
        lambda code: "def bicubic(small):\n    return resize_bicubic(small, 4)\n\n\n"
        + code.replace("resize_bicubic(picture, 4)", "bicubic(picture)"),
        "test-model",
    ),
    (
        "day6",
        "measure",
        replaced("return psnr, ssim", "return np.array([psnr, ssim])"),
        "test-measure",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "cell", "change", "tests"),
    OTHER_STYLES,
    ids=[f"{m[0]}-{m[1]}" for m in OTHER_STYLES],
)
def test_other_right_solutions_pass(
    day: str,
    cell: str,
    change: Callable[[str], str],
    tests: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{day}-{tests}"
    solution = cell_of(teachers(day), f"{day}-{cell}")["source"]
    assert change(solution) != solution
    assert run_here(day, tmp_path, {f"{day}-{cell}": change}, {name})[name] == ""


def test_a_step_that_fails_costs_no_points_of_the_optimizers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    forgotten = {"day2-training": replaced("discriminator(fake.detach())", "discriminator(fake)")}
    said = run_here("day2", tmp_path, forgotten, errors=Exception)
    assert "must be detached, discriminator(fake.detach())" in said["day2-test-step"]
    assert said["day2-test-optimizers"] == ""
