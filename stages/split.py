"""Put every image into train, validation or test; a patient and a group of duplicates stay together."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    balanced: Annotated[Path, typer.Option(help="Table written by balance.")] = Path("work/balanced.csv"),
    prepared: Annotated[Path, typer.Option(help="Table written by prepare.")] = Path("work/prepared/manifest.csv"),
    data_report: Annotated[Path, typer.Option(help="JSON written by prepare.")] = Path("reports/data.json"),
    output: Annotated[Path, typer.Option(help="Table with the columns group and split.")] = Path("work/split.csv"),
    report: Annotated[Path, typer.Option(help="JSON with counts, flow and audits.")] = Path("reports/split.json"),
    params: Annotated[Path, typer.Option(help="Parameters: seed and split are read.")] = Path("params.yaml"),
) -> None:
    """Split by class into train, validation and test, and stop if a picture or a patient would be in two."""
    from cxr.core.files import write_json
    from cxr.core.manifest import read_table, write_table
    from cxr.core.params import SeedParams, read_params, section, top_level
    from cxr.core.records import stop_unless_waived
    from cxr.dataset.audits import audit_split
    from cxr.dataset.audits.splits import read_flow
    from cxr.dataset.sampling import SplitParams, assign_splits

    values = read_params(params)
    seed, own = top_level(values, SeedParams).seed, section(values, "split", SplitParams)

    table = read_table(balanced)
    manifest, flow = read_table(prepared), read_flow(data_report)

    split = assign_splits(table, own, seed)
    audited = audit_split(manifest, split, flow, seed, own.waivers)

    write_json(report, audited)
    stop_unless_waived(audited.audits, "split")
    write_table(output, split)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
