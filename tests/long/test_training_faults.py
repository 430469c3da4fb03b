"""What goes wrong in a `dvc repro`: the sentence a user meets, and that the next one gives the right bytes."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from ruamel.yaml import YAML

from cxr.core.files import sha256_of
from tests.dvc import copy_of_the_repository, quick, run, variables

pytestmark = [pytest.mark.long, pytest.mark.slow]

STARTED = re.compile(r"Running stage '(\w+)'")
# One kill each, so that they are spread over the run; the long ones get two.
KILLED_IN = (
    "split", "train_cnn1", "train_cnn1", "train_cnn3", "train_cnn3", "train_vgg16", "train_vgg16",
    "train_resnet50", "train_resnet50", "evaluate",
)  # fmt: skip


@dataclass(frozen=True)
class Undisturbed:
    """What a run that nobody disturbs gives, and the seconds that each of its stages took; never to be changed."""

    clone: Path
    lock: str
    stages: dict[str, dict[str, object]]
    digests: dict[str, str]
    seconds: dict[str, float]


@dataclass
class Repro:
    """A running `dvc repro` with a process group of its own and the file that it writes to."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, stage: str, after: float = 0.0) -> None:
        """Wait until `stage` has run for some seconds, or the whole has ended."""
        while f"Running stage '{stage}'" not in self.said and self.process.poll() is None:
            time.sleep(0.02)
        time.sleep(after)

    def end(self) -> int:
        return self.process.wait(timeout=1800)

    def signal_all(self, number: int) -> None:
        """Send a signal to dvc and all that it started, as the terminal sends Ctrl-C."""
        os.killpg(self.process.pid, number)
        self.process.wait(timeout=120)


def repro(clone: Path, *arguments: str) -> Repro:
    output = clone.parent / f"{clone.name}.{len(list(clone.parent.glob('*.txt')))}.txt"
    with output.open("wb") as file:
        return Repro(start(clone, file, *arguments), output)


def start(clone: Path, file: IO[bytes], *arguments: str) -> subprocess.Popen[bytes]:
    # A shell in the background has its children ignore Ctrl-C. /bin/sh may stay between dvc and the stage.
    return subprocess.Popen(
        ["dvc", "repro", *arguments], cwd=clone, env=variables(clone) | {"SHELL": "/bin/sh"}, stdout=file, stderr=file,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def digests(clone: Path) -> dict[str, str]:
    files = [path for path in sorted((clone / "models").rglob("*")) if path.is_file() and path.name != ".gitignore"]
    return {path.relative_to(clone).as_posix(): sha256_of(path) for path in files if path.exists()}


def set_param(clone: Path, **sections: object) -> None:
    """Write params.yaml with some top-level values replaced, or their keys where both are mappings."""
    yaml = YAML()
    values = yaml.load(clone / "params.yaml")
    for name, value in sections.items():
        values[name] = values[name] | value if isinstance(value, dict) and name in values else value
    yaml.dump(values, clone / "params.yaml")


def copied(folder: Path, to: Path) -> Path:
    """Copy a repository without what DVC keeps of earlier runs: what runs again runs indeed."""
    return Path(shutil.copytree(folder, to, symlinks=True, ignore=shutil.ignore_patterns("cache")))


def forget(clone: Path, stages: tuple[str, ...], older: Path) -> None:
    """Put an older repository's entries of some stages into dvc.lock, so that these stages are to run."""
    yaml = YAML()
    lock, before = yaml.load(clone / "dvc.lock"), yaml.load(older / "dvc.lock")
    lock["stages"] |= {stage: before["stages"][stage] for stage in stages}
    yaml.dump(lock, clone / "dvc.lock")


def assert_recovered(clone: Path, undisturbed: Undisturbed, stage: str, model: str) -> None:
    """Repeat `dvc repro` and compare what it makes up to `stage` with the undisturbed run."""
    run(clone, "dvc", "repro", stage)
    assert YAML(typ="safe").load(clone / "dvc.lock")["stages"][stage] == undisturbed.stages[stage]
    own = {name: digest for name, digest in undisturbed.digests.items() if name.startswith(f"models/{model}/")}
    found = {name: digest for name, digest in digests(clone).items() if name.startswith(f"models/{model}/")}
    assert found == own


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the repository with data and nothing that a stage made; never to be changed."""
    folder = tmp_path_factory.mktemp("faults") / "fetched"
    folder.mkdir()
    quick(copy_of_the_repository(folder))
    run(folder, "dvc", "pull", "-q", "data")
    return folder


@pytest.fixture(scope="module")
def undisturbed(fetched: Path) -> Undisturbed:
    clone = Path(shutil.copytree(fetched, fetched.with_name("undisturbed"), symlinks=True))
    running, starts = repro(clone), {"": time.monotonic()}
    while running.process.poll() is None:
        for stage in STARTED.findall(running.said):
            starts.setdefault(stage, time.monotonic())
        time.sleep(0.05)
    assert running.end() == 0, running.said
    names, moments = list(starts), [*starts.values(), time.monotonic()]
    seconds = {name: moments[place + 1] - moments[place] for place, name in enumerate(names)}
    lock = (clone / "dvc.lock").read_text()
    return Undisturbed(clone, lock, YAML(typ="safe").load(lock)["stages"], digests(clone), seconds)


@pytest.fixture(scope="module")
def divided(fetched: Path) -> Path:
    """Give a copy in which everything before the trainings is done; never to be changed."""
    clone = Path(shutil.copytree(fetched, fetched.with_name("divided"), symlinks=True))
    run(clone, "dvc", "repro", "-q", "split")
    return clone


@pytest.fixture
def clone(divided: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(divided, tmp_path / "clone", symlinks=True))


def test_killed_ten_times_and_run_again_the_lock_and_all_models_are_those_of_an_undisturbed_run(
    fetched: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    moments, hit, equal = random.Random(7), [], 0
    for number, stage in enumerate(KILLED_IN):
        clone = copied(undisturbed.clone, tmp_path / str(number))
        # Before and beside the stage DVC would run nothing again after a kill; after it comes evaluate.
        forget(clone, (stage, "evaluate"), older=fetched)
        running = repro(clone)
        running.wait_for(stage, after=moments.uniform(0, 0.9) * undisturbed.seconds[stage])
        assert running.process.poll() is None, "it ended before it could be killed"
        running.signal_all(signal.SIGKILL)
        hit.append(STARTED.findall(running.said)[-1])
        assert (clone / "dvc.lock").read_text() != undisturbed.lock
        assert f"Running stage '{hit[-1]}'" in run(clone, "dvc", "repro").stdout
        equal += ((clone / "dvc.lock").read_text(), digests(clone)) == (undisturbed.lock, undisturbed.digests)
        shutil.rmtree(clone)
    assert equal == len(KILLED_IN), f"{equal} of {len(KILLED_IN)}, killed in {hit}"
    assert len(set(hit)) >= 5, f"the kills hit too few stages: {hit}"


def test_dvc_killed_alone_takes_its_training_along(clone: Path, undisturbed: Undisturbed) -> None:
    running = repro(clone, "train_cnn1")
    running.wait_for("train_cnn1", after=undisturbed.seconds["train_cnn1"] * 0.3)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    # At once: nobody waits for the training that is left.
    assert_recovered(clone, undisturbed, "train_cnn1", "cnn1")
    time.sleep(undisturbed.seconds["train_cnn1"])
    assert "train_cnn1: the dvc that ran this stage is gone, so it ends; run dvc repro again" in running.said
    assert run(clone, "dvc", "status", "train_cnn1").stdout.strip() == "Data and pipelines are up to date."


def test_ctrl_c_is_one_line_and_no_trace(clone: Path, undisturbed: Undisturbed) -> None:
    running = repro(clone, "train_cnn1")
    running.wait_for("train_cnn1", after=undisturbed.seconds["train_cnn1"] * 0.5)
    running.signal_all(signal.SIGINT)
    assert running.end() != 0
    assert "interrupted; run the same command again\n" in running.said
    assert re.search("exited with (130|-2)", running.said)  # of the stage, or of the shell that was interrupted too
    assert "Traceback" not in running.said
    assert_recovered(clone, undisturbed, "train_cnn1", "cnn1")


def test_a_full_disk_stops_the_stage_with_the_files_name(clone: Path, undisturbed: Undisturbed) -> None:
    (clone / "models").mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(clone / "models")]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        running = repro(clone, "train_cnn1")
        assert running.end() != 0
        assert not (clone / "models/cnn1/model.json").exists()
    finally:
        subprocess.run(["umount", clone / "models"], check=True)
    assert re.search(
        r"cannot write models/cnn1/[\w.]+: No space left on device; free some space, then run", running.said
    )
    assert "Traceback" not in running.said
    assert_recovered(clone, undisturbed, "train_cnn1", "cnn1")


@pytest.mark.parametrize("kilobytes", [1, 300])
def test_a_limit_of_file_sizes_stops_the_stage(kilobytes: int, clone: Path, undisturbed: Undisturbed) -> None:
    limit = kilobytes * 1024, resource.RLIM_INFINITY
    # Before 3.12.8 Python itself keeps a .pyc that was cut short (cpython#126606); docs/training.md has the remedy.
    own = variables(clone) | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["python", "stages/train_cnn1.py"], cwd=clone, env=own, stderr=subprocess.PIPE, text=True,
        check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"cannot write models/cnn1/[\w.]+: File too large; larger files are not", done.stderr)
    assert "Traceback" not in done.stderr
    assert_recovered(clone, undisturbed, "train_cnn1", "cnn1")


def test_a_corrupt_object_of_the_sample_is_refused_until_it_is_put_right(fetched: Path, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("data", "cache", "work")
    clone = Path(shutil.copytree(fetched, tmp_path / "clone", symlinks=True, ignore=ignored))
    stored = [path for path in sorted((clone / ".dvc/sample-store").rglob("*")) if path.is_file()]
    image = next(path for path in stored if path.suffix != ".dir")
    image.chmod(0o644)
    image.write_bytes(image.read_bytes() + b"x")
    refused = run(clone, "dvc", "pull", "data", check=False)
    assert refused.returncode != 0
    assert "failed to pull data from the cloud" in refused.stderr
    run(clone, "git", "checkout", "-q", ".dvc/sample-store")
    run(clone, "dvc", "pull", "-q", "data")
    run(clone, "dvc", "status", "-q", "data.dvc")


def test_a_truncated_file_of_weights_is_refused_with_the_remedy(clone: Path, undisturbed: Undisturbed) -> None:
    before = (clone / "params.yaml").read_bytes()
    file = clone / "weights/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.write_bytes(b"\x89HDF\r\n\x1a\n")
    set_param(clone, train_vgg16={"weights": "imagenet"})
    stopped = run(clone, "dvc", "repro", "train_vgg16", check=False)
    assert stopped.returncode != 0
    assert f"error: {file.relative_to(clone)} is not the published file: its md5 is " in stopped.stderr
    assert "Replace it with 'cxr-data weights vgg16'" in stopped.stderr
    file.unlink()
    (clone / "params.yaml").write_bytes(before)
    assert_recovered(clone, undisturbed, "train_vgg16", "vgg16")


def test_a_second_repro_at_the_same_time_is_refused_and_the_first_unharmed(
    clone: Path, undisturbed: Undisturbed
) -> None:
    running = repro(clone, "train_cnn1")
    running.wait_for("train_cnn1")
    second = run(clone, "dvc", "repro", "train_cnn1", check=False)
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stderr
    assert running.end() == 0, running.said
    assert_recovered(clone, undisturbed, "train_cnn1", "cnn1")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"train_cnn1": {"epochs": "many"}},
            "train_cnn1.epochs: input should be a valid integer, got 'many'. Known keys: ",
        ),
        ({"train_cnn1": {"epoch": 3}}, "train_cnn1.epoch: extra inputs are not permitted, got 3; did you mean epochs?"),
        ({"sed": 8}, "no stage reads 'sed'; did you mean seed? Known keys: seed, classes, "),
    ],
)
def test_a_wrong_or_unknown_param_is_refused_before_any_training(
    change: dict[str, object], sentence: str, clone: Path, undisturbed: Undisturbed
) -> None:
    before = (clone / "params.yaml").read_bytes()
    set_param(clone, **change)
    stopped = run(clone, "dvc", "repro", "train_cnn1", check=False)
    assert stopped.returncode != 0
    assert f"error: params.yaml: {sentence}" in stopped.stderr
    assert "epoch 1/" not in stopped.stderr
    (clone / "params.yaml").write_bytes(before)
    assert_recovered(clone, undisturbed, "train_cnn1", "cnn1")
