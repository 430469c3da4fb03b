"""A bucket beside a folder: equal tables, speed, memory, and a connection that is cut three times for 20 s.

    python benchmarks/remote.py --objects 20000

The server is moto's, on loopback and on the same cores: an upper bound of what it can give is measured too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.remote.proxy import Proxy  # noqa: E402
from tests.remote.s3 import KEYS, s3_server  # noqa: E402

BUCKET = "films"
CUTS, CUT_SECONDS = 3, 20
FILMS = 60
FEW, FEW_OBJECTS = "the first", 1000


def draw(folder: Path, number: int) -> None:
    """Thorax phantoms of 299 pixels as PNG, all different: a few films, each in its own noise."""
    import numpy as np
    from PIL import Image

    from cxr.phantom.anatomy import Finding
    from cxr.phantom.film import draw_phantom

    films = [draw_phantom(list(Finding)[one % 3], (one,), 0).luminance.astype(np.int16) for one in range(FILMS)]
    for one in range(number):
        film = films[one % FILMS]
        plane = film + np.random.default_rng(one).integers(-3, 4, film.shape)
        path = folder / (FEW if one < FEW_OBJECTS else f"site {one % 10}") / f"{one:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(plane.clip(0, 255).astype(np.uint8)).save(path, compress_level=1)


def upload(folder: Path, endpoint: str) -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=16))
    client.create_bucket(Bucket=BUCKET)

    def put(path: Path) -> None:
        client.put_object(Bucket=BUCKET, Key=path.relative_to(folder.parent).as_posix(), Body=path.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, sorted(folder.rglob("*.png"))))


def ceiling(endpoint: str, folder: Path, number: int = 500) -> float:
    """Objects a second that the server gives to a client that does nothing with them."""
    code = (
        "import s3fs, sys, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "fs = s3fs.S3FileSystem(max_concurrency=1, config_kwargs={'max_pool_connections': 64})\n"
        "names = sys.stdin.read().splitlines()\n"
        "start = time.monotonic()\n"
        "with ThreadPoolExecutor(16) as pool: list(pool.map(fs.cat_file, names))\n"
        "print(len(names) / (time.monotonic() - start))\n"
    )
    names = [f"{BUCKET}/{path.relative_to(folder.parent).as_posix()}" for path in sorted(folder.rglob("*.png"))]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(names[:number]),
        env=environment(endpoint),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def environment(endpoint: str) -> dict[str, str]:
    return os.environ | KEYS | {"AWS_ENDPOINT_URL": endpoint}


def screen(where: str, table: Path, endpoint: str, *more: str) -> tuple[float, float]:
    """Return seconds and the peak of resident memory in MiB, of the process and its children."""
    code = "from cxr.cli.batch import script; script()"
    command = [sys.executable, "-c", code, where, "-o", str(table), "--quiet", "--overwrite", *more]
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment(endpoint), cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 3), status
    return time.monotonic() - start, used.ru_maxrss / 1024


def cut_run(where: str, table: Path, proxy: Proxy, objects: int, *more: str) -> tuple[float, int]:
    """Screen while the connection is cut; return seconds and the number of cuts."""
    done, before = threading.Event(), proxy.cuts

    def lines() -> int:
        journal = table.with_name(f"{table.name}.journal")
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    def cutting() -> None:
        for part in range(1, CUTS + 1):
            while lines() < part * objects / (CUTS + 1) and not done.wait(0.05):
                pass
            if not done.is_set():
                proxy.cut()
                time.sleep(CUT_SECONDS)
                proxy.mend()

    saboteur = threading.Thread(target=cutting)
    saboteur.start()
    seconds, _ = screen(where, table, f"http://127.0.0.1:{proxy.port}", *more)
    done.set()
    saboteur.join()
    return seconds, proxy.cuts - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--model", default="packaged", help="as of cxr-batch")
    parser.add_argument("--without-cuts", action="store_true")
    arguments = parser.parse_args()
    objects, model = arguments.objects, ("--model", arguments.model)
    os.environ |= KEYS
    with tempfile.TemporaryDirectory() as temporary, s3_server(Path(temporary) / "moto.log") as port:
        folder, endpoint = Path(temporary) / "scans", f"http://127.0.0.1:{port}"
        draw(folder, objects)
        upload(folder, endpoint)
        print(f"objects                  {objects:,} drawn PNG files, {len(os.sched_getaffinity(0))} cores")
        local, remote = Path(temporary) / "local.csv", Path(temporary) / "remote.csv"
        _, local_small = screen(str(folder / FEW), local, endpoint, *model)
        _, remote_small = screen(f"s3://{BUCKET}/scans/{FEW}", remote, endpoint, *model)
        local_seconds, local_peak = screen(str(folder), local, endpoint, *model)
        remote_seconds, remote_peak = screen(f"s3://{BUCKET}/scans", remote, endpoint, *model)
        print(f"equal bytes              {local.read_bytes() == remote.read_bytes()}")
        print(f"local                    {local_seconds:.1f} s, {objects / local_seconds:.0f} files/s")
        print(f"s3://                    {remote_seconds:.1f} s, {objects / remote_seconds:.0f} files/s")
        print(f"server alone             {ceiling(endpoint, folder):.0f} objects/s to a client that only reads")
        print(f"throughput remote/local  {local_seconds / remote_seconds:.2f}")
        print(f"peak memory local        {local_small:.0f} MiB for {FEW_OBJECTS:,}, {local_peak:.0f} for all")
        print(f"peak memory s3://        {remote_small:.0f} MiB for {FEW_OBJECTS:,}, {remote_peak:.0f} for all")
        if not arguments.without_cuts:
            cut = Path(temporary) / "cut.csv"
            seconds, cuts = cut_run(f"s3://{BUCKET}/scans", cut, Proxy(port), objects, *model)
            same = cut.read_bytes() == Path(local).read_bytes()
            print(f"cut {cuts} times for {CUT_SECONDS} s     {seconds:.1f} s; equal bytes {same}")


if __name__ == "__main__":
    main()
