"""Data in a DVC remote on S3: pushed from one clone, pulled in another."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.dvc import variables
from tests.remote.s3 import KEYS, s3_server

pytest.importorskip("dvc_s3", reason="needs the package dvc-s3")
pytest.importorskip("moto", reason="needs moto's server")


def test_what_is_pushed_is_pulled_with_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "data" / "normal").mkdir(parents=True)
    for number in range(5):
        (first / "data" / "normal" / f"{number}.png").write_bytes(os.urandom(1000 * (number + 1)))
    with s3_server(tmp_path / "moto.log") as port:
        endpoint = f"http://127.0.0.1:{port}"
        environment = variables(first) | KEYS | {"AWS_ENDPOINT_URL": endpoint}
        import boto3

        with pytest.MonkeyPatch.context() as patch:
            for name, value in KEYS.items():
                patch.setenv(name, value)
            boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="team")

        def do(*words: str, folder: Path = first) -> None:
            subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)

        do("git", "init", "-q")
        do("dvc", "init", "-q")
        do("dvc", "remote", "add", "-q", "-d", "team", "s3://team/dvc")
        do("dvc", "add", "-q", "data")
        do("git", "add", ".")
        do("git", "commit", "-qm", "data")
        do("dvc", "push")
        do("git", "clone", "-q", str(first), str(second), folder=tmp_path)
        assert not (second / "data").exists()
        do("dvc", "pull", folder=second)

    pushed = {path.name: path.read_bytes() for path in (first / "data").rglob("*.png")}
    assert {path.name: path.read_bytes() for path in (second / "data").rglob("*.png")} == pushed
    config = (second / ".dvc" / "config").read_text()
    assert not any(secret in config for secret in KEYS.values())
