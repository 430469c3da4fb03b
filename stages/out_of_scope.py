"""Decode films of no class of the networks, such as those of other diseases, so that evaluate can ask about them."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    data: Annotated[Path, typer.Option(help="Folder of class folders.")] = Path("data"),
    output: Annotated[Path, typer.Option(help="Folder for images and their table.")] = Path("release/out_of_scope"),
    params: Annotated[list[Path], typer.Option(help="Parameters: out_of_scope is read.")] = PARAMS,
) -> None:
    """Decode every film of some folders of data/ once, and write planes and a table as prepare does."""
    from cxr.cli.console import bars
    from cxr.core.files import make_folder, scratch_folder
    from cxr.core.manifest import MANIFEST_FILE, write_planes, write_table
    from cxr.core.params import DataParams, plane_sides, read_params, section, top_level
    from cxr.core.process import worker_processes
    from cxr.dataset.decoding import decode_release
    from cxr.dataset.prepare import OutOfScopeParams, PrepareParams, films_of_no_class, prepare_table
    from cxr.dataset.release import read_patients, read_release, read_sources

    values = read_params(*params)
    shared, own = top_level(values, DataParams), section(values, "out_of_scope", OutOfScopeParams)
    prepare = section(values, "prepare", PrepareParams)

    images = films_of_no_class(read_release(data).images, shared.classes, own)
    sides, small = plane_sides(values, shared.image), shared.image.small
    for label in (label for label, files in images.items() if not files):
        typer.echo(f"{data} has no films of {label}, which out_of_scope.labels names: nothing is asked about them")

    make_folder(output)
    with scratch_folder(output) as scratch:
        with worker_processes(sum(map(len, images.values()))) as each:
            decoded = decode_release(data, images, [small, *sorted({*sides.values()} - {small})], scratch, bars, each)
        prepared = prepare_table(decoded, read_sources(data), read_patients(data), prepare, bars)

        write_planes(output, decoded.planes, sides)
        write_table(output / MANIFEST_FILE, prepared.table)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
