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
    from cxr.audit import stop_unless_waived
    from cxr.cli.progress import bars
    from cxr.dataset.audits.headers import HEADERS_FILE, read_headers
    from cxr.dataset.audits.release_report import audit_release
    from cxr.dataset.describing import describe_data
    from cxr.dataset.masks import MASKS_FILE, MASKS_TABLE, find_masks, read_masks
    from cxr.dataset.preparing import PrepareParams, check_count, decode_release, prepare_table
    from cxr.dataset.release import chosen_classes, read_release
    from cxr.dataset.sources import read_patients, read_sources
    from cxr.files import write_json
    from cxr.manifest import IMAGES_FILE, MANIFEST_FILE, write_images, write_table
    from cxr.params import DataParams, read_params, section, top_level

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

    write_json(report, describe_data(prepared.table, prepared.unreadable, discarded, release.masks) | audited)
    stop_unless_waived(audited["audits"], "prepare")
    write_images(output / IMAGES_FILE, prepared.images)
    write_table(output / MANIFEST_FILE, prepared.table)
    write_table(output / HEADERS_FILE, headers)
    write_table(output / MASKS_TABLE, masks)
    write_images(output / MASKS_FILE, read_masks(data, masks["mask"].tolist(), shared.image.side))


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
