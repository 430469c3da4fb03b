"""A report as tables and sentences."""

from cxr.evaluation.external.block import Block, left_out
from cxr.evaluation.external.network_blocks import network_blocks
from cxr.evaluation.external.wording import number, plain, points, probability
from cxr.evaluation.markdown import RESEARCH_ONLY, table
from cxr.files import JsonObject


def blocks(report: JsonObject) -> list[Block]:
    """Return the parts of what `evaluate_table` or `compare_tables` found."""
    if "comparison" in report:
        return [_common(report), *map(_pair, report["comparisons"])]
    return [_counts(report), *(block for network in report["networks"] for block in network_blocks(network))]


def render_markdown(report: JsonObject) -> str:
    """Return a report as Markdown."""
    parts = []
    for block in blocks(report):
        parts += [f"## {block.title}", *block.sentences]
        parts += [table(block.header, block.rows)] if block.rows else []
    return "\n\n".join(["# Evaluation against labels", *parts, RESEARCH_ONLY]) + "\n"


def _counts(report: JsonObject) -> Block:
    counts = report["counts"]
    return Block(
        f"{report['results']} against {report['labels']}",
        (
            f"{counts['labelled_rows']:,} of {counts['rows']:,} rows have a label.",
            *left_out(counts["rows_without_label"], "Rows without a label, left out"),
            *left_out(counts["labels_without_row"], "Labels without a row, left out"),
        ),
    )


def _common(report: JsonObject) -> Block:
    first, second = report["results"]
    return Block(
        f"a: {first}, b: {second}, against {report['labels']}: {report['n']:,} common images",
        (
            *left_out(report["answered_by_some_only"], "Labelled files not answered by all, left out"),
            f"McNemar's exact test; DeLong's for the AUC of {report['target']}; adjusted by Holm over the pairs.",
        ),
    )


def _pair(one: JsonObject) -> Block:
    gap = one["detectable_gap_images"]
    seen = "none" if gap is None else f"{gap} images, {plain(one['detectable_gap_points'], 1)} points"
    return Block(
        f"{one['a']} less {one['b']}",
        (),
        ("figure", "difference [95 % interval]"),
        (
            ("accuracy, points", points(one["accuracy_gap"])),
            ("right in one only", f"{one['only_a_right']} : {one['only_b_right']}"),
            ("p, accuracy", probability(one["p_holm"])),
            ("smallest gap that so many disagreements can show", seen),
            ("macro AUC, points", points(one["auc_gap"])),
            ("p, AUC", probability(one["auc_p_holm"])),
            ("log loss", number(one["log_loss_gap"])),
        ),
    )
