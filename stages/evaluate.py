"""Measure and audit the exported networks and their ensemble, and choose the one that screens folders."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    refits: Annotated[Path, typer.Option(help="Table written by leave_source_out.")] = Path(
        "work/leave_source_out.csv"
    ),
    models: Annotated[Path, typer.Option(help="Folder of the trained networks.")] = Path("models"),
    outputs: Annotated[Path, typer.Option(help="Folder for what the networks say.")] = Path("work/outputs"),
    reports: Annotated[Path, typer.Option(help="Folder for report, metrics, tables, figures.")] = Path("reports"),
    screening: Annotated[Path, typer.Option(help="Folder for the chosen network.")] = Path("models/screening"),
    fast: Annotated[Path, typer.Option(help="Folder for the fast network.")] = Path("models/fast"),
    params: Annotated[Path, typer.Option(help="Parameters: evaluate is read.")] = Path("params.yaml"),
) -> None:
    """Fit decisions on validation, measure and audit on test, and write the report and the screening model."""
    from cxr.core.audit import stop_unless_waived
    from cxr.core.params import read_params
    from cxr.evaluation.assess import assess, draw_pictures, read_inputs
    from cxr.evaluation.candidates import evaluate_params, judge_images, read_candidate
    from cxr.evaluation.screening_model import choose, choose_fast, write_screening
    from cxr.evaluation.write import write_card, write_reports, write_saved_outputs
    from cxr.inference.gate import load_gate
    from cxr.inference.network import ENSEMBLE
    from cxr.models import networks

    values = read_params(params)
    own = evaluate_params(values)

    material, gate = read_inputs(prepared, split, refits, reports), models / "gate"
    judged = judge_images(load_gate(gate), material.table, material.images)
    names = (*networks(values), ENSEMBLE)
    candidates = [read_candidate(models / name, material.table, material.images, own, judged) for name in names]
    chosen, quick = choose(candidates, own), choose_fast(candidates, own)

    report = assess(candidates, chosen, material, own, values)

    write_saved_outputs(outputs, candidates)
    write_reports(reports, candidates, report, draw_pictures(candidates, report, material))
    write_card(reports, write_screening(screening, chosen, report, values, gate))
    write_screening(fast, quick, report, values, gate)
    stop_unless_waived(report["audits"], "evaluate")


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
