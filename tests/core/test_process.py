"""What an answer owes to the processor: nothing within one class, and at most the sixth digit between two."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxr.cli.tables import merge_app, verify_app
from cxr.core.process import INSTRUCTIONS, instructions, instructions_of, pin_instructions
from cxr.screening.verify import ANOTHER_CLASS
from tests.cli.batches import read, run
from tests.commands import finish, start
from tests.imports import ROOT
from tests.screening.hostile import drawn


def of_the_machine() -> str:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        return instructions()


def older_than(level: str) -> Sequence[str]:
    return INSTRUCTIONS[: INSTRUCTIONS.index(level)] if level in INSTRUCTIONS else ()


# By what oneDNN and OpenVINO are told; the class of this process is tried by all other tests.
CLASSES = {"DEFAULT": of_the_machine(), "AVX2": "avx2", "AVX": "avx"}
LIMITS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            level == instructions() or level not in (CLASSES["DEFAULT"], *older_than(CLASSES["DEFAULT"])),
            reason=f"{name} is no other class of instructions here than {instructions()}",
        ),
    )
    for name, level in CLASSES.items()
]
FILES = 40
LIMITING = ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS")


@pytest.mark.parametrize(
    ("found", "variables", "level"),
    [
        (["X86_V2", "X86_V3", "X86_V4"], {}, "avx512"),
        (["SSE42", "AVX2", "AVX512_SKX"], {}, "avx512"),
        (["X86_V2", "X86_V3"], {}, "avx2"),
        (["X86_V2"], {}, "avx"),
        (["X86_V2", "X86_V3", "X86_V4"], {"ONEDNN_MAX_CPU_ISA": "avx2_vnni"}, "avx2"),
        (["X86_V2", "X86_V3", "X86_V4"], {"ONEDNN_MAX_CPU_ISA": "SSE41"}, "sse"),
        (["X86_V2", "X86_V3"], {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "avx2"),
        (["X86_V2", "X86_V3"], {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}, "avx2"),
    ],
)
def test_instructions_are_known_as_far_as_they_decide_how_numbers_are_added(found, variables, level):
    assert instructions_of(found, variables) == level


@pytest.mark.parametrize(
    ("newest", "before", "limit"), [("avx2", None, "AVX2"), ("avx2", "AVX", "AVX"), ("any", None, None)]
)
def test_kernels_are_limited_unless_a_limit_is_set(newest, before, limit, monkeypatch):
    for name in LIMITING:
        monkeypatch.delenv(name, raising=False)
    if before:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", before)
    monkeypatch.setattr("os.environ", dict(os.environ))
    pin_instructions(newest)
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") == limit
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == (None if newest == "any" else "0")
    assert instructions_of(["X86_V4"], os.environ) == (limit or "avx512").lower()


LOADED = """
class Found(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == 'tensorflow': begun()
sys.meta_path.insert(0, Found())
"""
READ = "import cxr.evaluation.assess as assess; assess.read_inputs = begun; assert 'openvino' not in sys.modules"


@pytest.mark.parametrize(("stage", "begun"), [("train_cnn1", LOADED), ("evaluate", READ)])
def test_a_stage_limits_the_kernels_before_what_has_them_is_loaded(stage: str, begun: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    code = (
        "import importlib.abc, os, runpy, sys\n"
        f"def begun(*_): print([os.environ.get(one) for one in {LIMITING}], flush=True); os._exit(0)\n"
        f"{begun}\nsys.argv = {[stage, *(['models/cnn1'] if stage == 'evaluate' else [])]!r}\n"
        f"runpy.run_path({str(ROOT / f'stages/{stage}.py')!r}, run_name='__main__')"
    )
    variables = {key: value for key, value in os.environ.items() if key not in LIMITING}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=variables
    )
    assert done.stdout == "['AVX2', '0']\n", done.stderr


def test_a_processor_of_another_kind_has_its_own_name(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert instructions_of(["NEON", "ASIMD"], {}) == "aarch64"


def passed_with(limit: str, chosen: str, *files: str) -> None:
    """Run tests in a process with other instructions."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files],
        cwd=ROOT,
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": limit},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("limit", LIMITS)
def test_an_answer_depends_on_the_plane_alone_with_other_instructions(limit: str) -> None:
    passed_with(limit, "plane_alone", "tests/inference/test_network.py")


@pytest.mark.long
@pytest.mark.parametrize("limit", LIMITS)
def test_a_table_depends_on_its_files_alone_with_other_instructions(limit: str) -> None:
    # What computes in other shapes; who reads, and how the table is written, depends on no instruction.
    passed_with(limit, "other_networks or change_no_byte or shards", "tests/screening/test_invariance.py")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processor") / "scans"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(FILES):
        angle, size = float(generator.uniform(-20, 20)), int(generator.integers(90, 300))
        Image.fromarray(drawn()).rotate(angle).resize((size, size)).save(folder / f"{number:02}.png")
    return folder


def elsewhere(limit: str, scans: Path, output: Path, *more: str) -> None:
    """Screen on this machine as if it had other instructions."""
    status, stderr = finish(start(scans, output, *more, variables={"ONEDNN_MAX_CPU_ISA": limit}))
    assert status == 0, stderr


def computed_on(table: Path) -> list[str]:
    return json.loads(table.with_suffix(".manifest.json").read_text())["tool"]["instructions"]


def verified(table: Path) -> None:
    done = CliRunner().invoke(verify_app, [str(table), "--rescore", str(FILES)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("limit", LIMITS)
def test_another_class_of_processor_gives_the_same_decisions_and_probabilities_within_the_tolerance(
    limit: str, scans: Path, tmp_path: Path
) -> None:
    elsewhere(limit, scans, tmp_path / "there.csv")
    run(scans, "-o", tmp_path / "here.csv")
    assert computed_on(tmp_path / "there.csv") == [CLASSES[limit]]
    assert computed_on(tmp_path / "here.csv") == [instructions()]
    there, here = read(tmp_path / "there.csv"), read(tmp_path / "here.csv")
    for one, other in zip(there, here, strict=True):
        for name, cell in one.items():
            if name.startswith(("probability_", "confidence", "margin")) and cell:
                assert abs(float(cell) - float(other[name])) <= ANOTHER_CLASS
            elif name != "detail":
                assert cell == other[name]
    verified(tmp_path / "there.csv")


@pytest.mark.parametrize("limit", LIMITS)
def test_a_run_begun_on_another_class_goes_on_here_and_the_manifest_names_both(
    limit: str, scans: Path, tmp_path: Path
) -> None:
    elsewhere(limit, scans, tmp_path / "r.csv", "--limit", "25")
    assert run(scans, "-o", tmp_path / "r.csv").exit_code == 0
    assert len(read(tmp_path / "r.csv")) == FILES
    assert computed_on(tmp_path / "r.csv") == sorted([CLASSES[limit], instructions()])
    verified(tmp_path / "r.csv")
    elsewhere(limit, scans, tmp_path / "r.csv")  # nothing left to do there
    assert computed_on(tmp_path / "r.csv") == sorted([CLASSES[limit], instructions()])


@pytest.mark.parametrize("limit", LIMITS)
def test_shards_of_two_classes_join(limit: str, scans: Path, tmp_path: Path) -> None:
    elsewhere(limit, scans, tmp_path / "1.csv", "--shard", "1/2")
    run(scans, "-o", tmp_path / "2.csv", "--shard", "2/2")
    joined = CliRunner().invoke(merge_app, [str(tmp_path / f"{n}.csv") for n in "12"] + ["-o", str(tmp_path / "r.csv")])
    assert joined.exit_code == 0, joined.output
    assert computed_on(tmp_path / "r.csv") == sorted([CLASSES[limit], instructions()])
    verified(tmp_path / "r.csv")
