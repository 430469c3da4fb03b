"""Decode the release in data/ once: one array of luminance planes and one table that names them; audit both."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    data: Annotated[Path, typer.Option(help="Folder of class folders.")] = Path("data"),
    output: Annotated[Path, typer.Option(help="Folder for images, manifest, headers and masks.")] = Path(
        "work/prepared"
    ),
    report: Annotated[Path, typer.Option(help="JSON with counts and audits.")] = Path("reports/data.json"),
    params: Annotated[Path, typer.Option(help="Parameters: reads classes, image, prepare.")] = Path("params.yaml"),
) -> None:
    """Decode every radiograph once, find duplicates, audit the data, and write what all later stages use."""
    from cxr.cli.console import bars
    from cxr.core.audit import stop_unless_waived
    from cxr.core.files import write_json
    from cxr.core.manifest import IMAGES_FILE, MANIFEST_FILE, write_images, write_table
    from cxr.core.params import DataParams, read_params, section, top_level
    from cxr.core.records import as_json
    from cxr.dataset.audits import audit_release
    from cxr.dataset.audits.formats import HEADERS_FILE, read_headers
    from cxr.dataset.prepare import PrepareParams, check_count, decode_release, describe_data, prepare_table
    from cxr.dataset.release import (
        MASKS_FILE,
        MASKS_TABLE,
        chosen_classes,
        find_masks,
        read_masks,
        read_patients,
        read_release,
        read_sources,
    )

    values = read_params(params)
    shared, own = top_level(values, DataParams), section(values, "prepare", PrepareParams)

    release = read_release(data)
    images = chosen_classes(release, shared.classes, own.discard)
    check_count(images, own.expected_files)
    decoded = decode_release(release, images, shared.image.side, bars)

    prepared = prepare_table(decoded, read_sources(data), read_patients(data), own)
    files = prepared.table["file"].tolist()
    headers, masks = read_headers(data, files), find_masks(release, files)
    discarded = {label: len(release.images[label]) for label in own.discard if label in release.images}
    labels = {item.file: item.label for item in decoded}
    audited = audit_release(prepared, headers, labels, discarded, own.waivers)

    described = describe_data(prepared.table, prepared.unreadable, discarded, release.masks)
    write_json(report, {**described, **as_json(audited)})
    stop_unless_waived(audited.audits, "prepare")
    write_images(output / IMAGES_FILE, prepared.images)
    write_table(output / MANIFEST_FILE, prepared.table)
    write_table(output / HEADERS_FILE, headers)
    write_table(output / MASKS_TABLE, masks)
    write_images(output / MASKS_FILE, read_masks(data, masks["mask"].tolist(), shared.image.side))


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
