"""Measure and audit exported networks and the gate before them, and choose the network that screens folders."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml")]


def main(
    networks: Annotated[list[Path], typer.Argument(help="Folders of the trained networks.", metavar="NETWORK...")],
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    audited: Annotated[Path, typer.Option(help="Folder of what prepare and split found.")] = Path("reports"),
    refits: Annotated[
        Path | None, typer.Option(help="Table written by leave_source_out. [default: only last layers are refitted]")
    ] = None,
    hospitals: Annotated[
        Path | None, typer.Option(help="Table of last_layer or leave_hospital_out. [default: none is left out]")
    ] = None,
    out_of_scope: Annotated[
        Path | None,
        typer.Option(help="Folder written by out_of_scope. [default: none is asked about]"),
    ] = None,
    outputs: Annotated[Path, typer.Option(help="Folder for what the networks say.")] = Path("work/outputs"),
    reports: Annotated[
        Path, typer.Option(help="Folder for the report; metrics, plots and figures in it are made anew.")
    ] = Path("reports"),
    screening: Annotated[Path, typer.Option(help="Folder for the chosen network.")] = Path("models/screening"),
    params: Annotated[list[Path], typer.Option(help="Parameters: evaluate is read.")] = PARAMS,
) -> None:
    """Fit decisions on validation, measure and audit on test, and write the report and the screening model."""
    from cxr.core.params import CommonParams, read_params, top_level
    from cxr.core.process import pin_instructions
    from cxr.core.records import stop_unless_waived
    from cxr.evaluation.assess import assess, draw_pictures, read_inputs, read_out_of_scope, read_unseen, with_lungs
    from cxr.evaluation.candidates import (
        choose,
        evaluate_params,
        gate_folder,
        judge_images,
        lungs_folder,
        read_candidate,
    )
    from cxr.evaluation.report import too_few_images
    from cxr.evaluation.write import write_card, write_reports, write_saved_outputs, write_screening
    from cxr.inference.gate import load_gate, unjudged
    from cxr.inference.lungs import load_lungs

    values = read_params(*params)
    own = evaluate_params(values)
    pin_instructions(top_level(values, CommonParams).runtime.instructions)  # before a network is loaded

    material = read_inputs(prepared, split, audited, refits)
    gate = gate_folder(own, material.images.shape[1])
    judge = load_gate(gate) if gate else None
    judged = judge_images(judge, material.table, material.images) if judge else unjudged(len(material.table))
    lungs = lungs_folder(own, material.images.shape[1])
    material = with_lungs(material, load_lungs(lungs)) if lungs else material
    typer.echo(f"running {', '.join(one.name for one in networks)} on {len(material.table):,} images")
    candidates = [read_candidate(one, material.table, material.planes_of, own, judged) for one in networks]
    chosen = choose(candidates, own)

    unseen = read_unseen(hospitals, prepared, material.images, judge, candidates[0].model.classes, own)
    other = read_out_of_scope(out_of_scope, chosen, judge)
    typer.echo("computing figures and audits")
    report = assess(candidates, chosen, material, own, values, unseen, other)

    typer.echo("drawing charts and writing the report")
    write_saved_outputs(outputs, candidates)
    write_reports(reports, candidates, report, draw_pictures(candidates, report, material))
    write_card(reports, write_screening(screening, chosen, report, values, gate, lungs))
    if too_few := too_few_images(report.data, own.alpha):
        typer.echo(f"warning: {too_few}")
    stop_unless_waived(report.audits, "evaluate")


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
