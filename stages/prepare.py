"""Decode the release in data/ once: arrays of luminance planes and one table that names them; audit both."""

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
    params: Annotated[Path, typer.Option(help="Parameters: classes, image, prepare, sides of networks.")] = Path(
        "params.yaml"
    ),
) -> None:
    """Decode every radiograph once, find duplicates, audit the data, and write what all later stages use."""
    from cxr.cli.console import bars
    from cxr.core.files import make_folder, scratch_folder, write_json
    from cxr.core.manifest import MANIFEST_FILE, MASKS_FILE, RULE_FILE, write_images, write_planes, write_table
    from cxr.core.params import DataParams, plane_sides, read_params, section, top_level
    from cxr.core.process import worker_processes
    from cxr.core.records import as_json, stop_unless_waived
    from cxr.dataset.audits import audit_release
    from cxr.dataset.audits.formats import HEADERS_FILE, read_headers
    from cxr.dataset.decoding import decode_release
    from cxr.dataset.prepare import PrepareParams, check_count, describe_data, prepare_table
    from cxr.dataset.release import (
        MASKS_TABLE,
        chosen_classes,
        find_masks,
        read_masks,
        read_patients,
        read_release,
        read_sources,
    )
    from cxr.imaging.decode import plane_rule

    values = read_params(params)
    shared, own = top_level(values, DataParams), section(values, "prepare", PrepareParams)

    release = read_release(data)
    images = chosen_classes(release, shared.classes, own.discard)
    check_count(images, own.expected_files)
    sides, small = plane_sides(values, shared.image), shared.image.small

    make_folder(output)
    with scratch_folder(output) as scratch:
        with worker_processes(sum(map(len, images.values()))) as each:
            decoded = decode_release(data, images, [small, *sorted({*sides.values()} - {small})], scratch, bars, each)
            files = [item.file for item in decoded.files if not item.error]
            headers, masks = read_headers(data, files, bars, each), find_masks(release, files)
            lungs = read_masks(data, masks["mask"].tolist(), small, scratch, bars, each)
        prepared = prepare_table(decoded, read_sources(data), read_patients(data), own, bars)
        discarded = {label: len(release.images[label]) for label in own.discard if label in release.images}
        labels = {item.file: item.label for item in decoded.files}
        audited = audit_release(prepared, headers, labels, discarded, own.waivers, bars)

        described = describe_data(prepared.table, prepared.unreadable, discarded, release.masks)
        write_json(report, {**described, **as_json(audited)})
        stop_unless_waived(audited.audits, "prepare")
        write_planes(output, decoded.planes, sides)
        write_json(output / RULE_FILE, plane_rule())
        write_table(output / MANIFEST_FILE, prepared.table)
        write_table(output / HEADERS_FILE, headers)
        write_table(output / MASKS_TABLE, masks)
        write_images(output / MASKS_FILE, lungs)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
