"""The report as HTML and as Markdown: a page that opens offline, and its sections on the whole.

Data, audits, verdict, reproducibility, standards and limitations; the page forbids itself every request. Which items of
CLAIM 2024, TRIPOD+AI and STARD-AI a report holds is found in its sections.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from cxr.core.pages import INLINE, RESEARCH_ONLY, base64_text, content_policy, script_json
from cxr.core.records import AuditRecord, Result
from cxr.dataset.audits.sources import UNKNOWN
from cxr.evaluation.records import CountedStep, Report, ReportData, Standard, StandardItem
from cxr.evaluation.reporting.charts import CONFIG, split_chart
from cxr.evaluation.reporting.document import (
    AuditEntry,
    Audits,
    Block,
    Cell,
    Chart,
    Finding,
    Fixed,
    Fold,
    Grid,
    Heading,
    Paragraph,
    Pictures,
    Piece,
    Points,
    Printed,
    Section,
    Table,
    badge,
    count,
    interval,
    not_measured,
    percent,
    raw,
    table,
    text,
)
from cxr.evaluation.reporting.networks import (
    comparisons_section,
    each_model_section,
    errors_section,
    learning_section,
    models_section,
)
from cxr.evaluation.unseen import OutOfScopeFilms, UnseenFilms, UnseenHospitals


def _data_section(report: Report) -> Section:
    """Flow of the images, classes by split, classes by source."""
    data = report.data
    flow = _flow(report.flow, list(data.classes)) if report.flow else not_measured("Flow of the images")
    is_any_known = any(one.source not in ("", UNKNOWN) for one in data.sources)
    sources = _sources(data) if is_any_known else not_measured("Classes by source", "no source is known")
    return Section("data", "Where the images come from", [flow, _splits(data), split_chart(data), sources])


def _flow(steps: Sequence[CountedStep], classes: Sequence[str]) -> Table:
    labels = _labels_of(steps, classes)
    rows = [
        [
            text(step.step),
            *(count(step.images[label]) if label in step.images else BLANK for label in labels),
            count(step.total),
            count(step.dropped),
            Cell((step.why,)),
        ]
        for step in steps
    ]
    return table("Every step, and why images were dropped", ["step", *labels, "all", "dropped", "why"], rows)


def _labels_of(steps: Sequence[CountedStep], classes: Sequence[str]) -> list[str]:
    """Return the classes in their order, then other labels that a step counts."""
    others = {label for step in steps for label in step.images} - set(classes)
    return [*classes, *sorted(others)]


def _splits(data: ReportData) -> Table:
    classes = list(data.classes)
    rows = [
        [text(split), *(count(counts.get(label)) for label in classes), count(data.images_per_split[split])]
        for split, counts in data.classes_by_split.items()
    ]
    rows.append([text("all"), *map(count, data.classes.values()), count(data.images)])
    rows.append([text("share"), *(percent(data.shares.get(label)) for label in classes), BLANK])
    return table("Images by split and class", ["split", *classes, "all"], rows)


def _sources(data: ReportData) -> Table:
    images = {(one.source, one.label): one.images for one in data.sources}
    rows = [
        [text(source or "unknown"), *(count(images.get((source, label), 0)) for label in data.classes)]
        for source in sorted({one.source for one in data.sources}, key=str)
    ]
    caption = "Images by source collection and class: where a row has one class only, the source gives the class away"
    return table(caption, ["source", *data.classes], rows)


def unseen_blocks(found: UnseenHospitals) -> list[Block]:
    """What is said of films of each hospital by a network whose training never saw it."""
    words = (
        f"{found.network} was fitted again without each of these hospitals and asked about its films, with decisions "
        "fitted without them too; the gate was not trained again. Square brackets hold 95 % intervals. These are the "
        "figures to expect at a hospital of which the network has learnt nothing, at best: settings may have been "
        "chosen by them. The test images below are of the collections that it has learnt from."
    )
    every = (*found.rows, *found.overall)
    known = all(one.recognised for one in every)
    header = (
        *("hospital", "class", "films", f"called {found.target}"),
        *(["called its class"] if known else []),
        *("decided as suspected", "referred", "rejected"),
    )
    rows = [_unseen_row(one) for one in every]
    of_target = sum(one.n for one in found.overall if one.label == found.target)
    areas = [
        [text(f"{one.n:,} films of {one.label}"), interval(one.auc)]
        for one in found.overall
        if one.auc.value is not None
    ]
    blocks: list[Block] = [Paragraph((words,)), table("Each hospital left out of training in turn", header, rows)]
    if areas:
        caption = f"Area under the ROC curve of {of_target:,} films of {found.target}, all hospitals left out in turn"
        blocks.append(table(caption, ("against", "AUC"), areas))
    return blocks


def _unseen_row(one: UnseenFilms) -> list[Cell]:
    shares = (one.called, one.recognised, one.suspected, one.referred, one.rejected)
    return [text(one.hospital or "all"), text(one.label), count(one.n), *(interval(share) for share in shares if share)]


def _unseen_section(report: Report) -> Section | None:
    """Hospitals that were left out of training, where any was."""
    if report.unseen is None:
        return None
    return Section("hospitals", "Hospitals left out of training", unseen_blocks(report.unseen))


def out_of_scope_blocks(found: Sequence[OutOfScopeFilms]) -> list[Block]:
    """What is said of films for which the network has no class."""
    words = (
        "The network has no class for these films and gives each one of its names all the same: no name is right, and "
        "what would be right is that the film is referred or rejected. Square brackets hold 95 % intervals."
    )
    classes = [f"called {name}" for name in found[0].called]
    header = ("films of", "collection", "films", *classes, "decided as suspected", "referred", "rejected")
    return [Paragraph((words,)), table("What is said of films of no class", header, map(_out_of_scope_row, found))]


def _out_of_scope_row(one: OutOfScopeFilms) -> list[Cell]:
    shares = (*one.called.values(), one.suspected, one.referred, one.rejected)
    return [text(one.label), text(one.source or "unknown"), count(one.n), *map(interval, shares)]


def _out_of_scope_section(report: Report) -> Section | None:
    """Films of no class, where the network that screens was asked about any."""
    if not report.out_of_scope:
        return None
    return Section("out-of-scope", "Films of no class", out_of_scope_blocks(report.out_of_scope))


def _audits_section(report: Report) -> Section:
    """All audits, in the order of the stages: failures and warnings in sight, the others in a fold."""
    worrying = [one for one in report.audits if one.result in (Result.FAIL, Result.WARN)]
    others = [one for one in report.audits if one not in worrying]
    blocks: list[Block] = [_summary(report)]
    if worrying:
        blocks.append(_audits("Failed or warned", worrying))
    if others:
        passed = _audits("Passed, or not asked of these data", others)
        blocks.append(Fold("audits-passed", _counts(report, {one.result for one in others}), (passed,)))
    return Section("audits", "Audits of the data and the networks", blocks)


def _summary(report: Report) -> Paragraph:
    if not report.audits:
        return not_measured("Audits")
    return Paragraph(
        (
            *_counts(report, set(report.audit_counts)),
            ". A failure that can be put right stops the pipeline, unless params.yaml says why it is accepted.",
        )
    )


def _counts(report: Report, results: Collection[Result]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for result, number in report.audit_counts.items():
        if result in results:
            pieces += [", " if pieces else "", *count(number).pieces, f" {result.replace('_', ' ')}"]
    return tuple(pieces)


def _audits(caption: str, records: Sequence[AuditRecord]) -> Audits:
    """Return one entry an audit, whatever number of networks it was asked of."""
    groups: dict[str, list[AuditRecord]] = {}
    for record in records:
        groups.setdefault(record.id, []).append(record)
    return Audits(caption, tuple(map(_entry, groups.values())))


def _entry(records: Sequence[AuditRecord]) -> AuditEntry:
    first, found = records[0], dict.fromkeys(map(_finding, records))
    return AuditEntry(first.name, first.stage or "", tuple(found), first.limit)


def _finding(record: AuditRecord) -> Finding:
    waiver = record.waiver or ""
    return Finding((badge(record.result), *([badge("waived")] if waiver else [])), record.found, waiver)


def _flattened(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the leaves of a JSON value with their dotted names; a list counts its items from 0."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flattened(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _flattened(part, f"{name}[{number}]")
    else:
        yield name, value


BLANK = Cell(("",))
LEVELS = {"stop": "an audit failed", "warn": "read with care", "fine": "no audit warns"}


@dataclass(frozen=True, slots=True)
class PageHead:
    """What stands above everything else."""

    headline: str
    badge: Cell
    sentences: tuple[str, ...]
    banner: tuple[tuple[Piece, ...], ...]
    waivers: tuple[tuple[str, str], ...]
    images: tuple[Piece, ...]


def _page_head(report: Report) -> PageHead:
    """Return headline, sentences, permanent banner and waivers."""
    verdict, data = report.verdict, report.data
    phantoms = [_phantoms(data)] if data.synthetic_images else []
    return PageHead(
        verdict.headline,
        badge(f"level-{verdict.level}", LEVELS[verdict.level]),
        verdict.sentences,
        (*phantoms, *((one,) for one in report.banner)),
        tuple((f"{one.stage}: {one.audit}", one.why) for one in report.waivers),
        (_count(data.images), " images, data set ", data.sha256[:12]),
    )


def head_words(report: Report) -> str:
    """Return what stands above everything else, on one line."""
    head = _page_head(report)
    return " ".join([head.headline, *head.sentences, *map(plain, head.banner), RESEARCH_ONLY])


def _phantoms(data: ReportData) -> tuple[Piece, ...]:
    return (
        "Drawn phantoms: ",
        _count(data.synthetic_images),
        " of ",
        _count(data.images),
        " images are drawn by this software. The figures show that the pipeline runs; they mean nothing for patients.",
    )


def _count(number: int) -> Printed:
    return Printed(number, f"{number:,}")


def _reproducibility_section(report: Report) -> Section:
    """Commit, data, networks, versions, params."""
    found = report.reproducibility
    commit = found.commit or "not in a commit; the params and the data below still name the run"
    rows = [[text("commit"), text(commit)], [text("data, digest"), text(found.data_sha256)]]
    rows += [[text(f"network {name}, digest"), text(digest)] for name, digest in found.networks.items()]
    versions = [[text(name), text(version)] for name, version in found.versions.items()]
    params = [[Cell((name,)), raw(value)] for name, value in _flattened(found.params)]
    return Section(
        "reproducibility",
        "Reproducibility",
        [
            table("What was run on what", ["name", "value"], rows),
            table("Versions", ["software", "version"], versions),
            Fold("params", ("Parameters",), (table("params.yaml", ["name", "value"], params),)),
        ],
    )


def _standards_section(report: Report) -> Section:
    """How many items of each reporting standard are reported."""
    words = Paragraph(
        (
            "report.json has every item, and where in this report it is. What is missing is mostly what this software "
            "is not told: patients, devices and dates, and the aims of a study, its approval and its funding.",
        )
    )
    return Section("standards", "Reporting standards", [*(Paragraph(_counted(one)) for one in report.standards), words])


def _counted(standard: Standard) -> tuple[Piece, ...]:
    pieces: list[Piece] = [f"{standard.standard}: "]
    for status, number in standard.counts.items():
        pieces += [*count(number).pieces, f" {status}", ", "]
    return tuple(pieces[:-1])


def _limitations_section(report: Report) -> Section:
    """What is known to be wrong or absent."""
    return Section("limitations", "Known limitations", [Points(tuple((one,) for one in report.limitations))])


def sections(report: Report, pictures: Pictures, whole: bool = True) -> list[Section]:
    """Return all sections but the verdict, which is the head of the page.

    Args:
        report: The content of reports/report.json.
        pictures: Image and heat map as PNG by model and file.
        whole: False for what stands in Markdown, without pictures.
    """
    elsewhere = (_unseen_section(report), _out_of_scope_section(report))
    return [
        *(section for section in elsewhere if section),
        models_section(report),
        _audits_section(report),
        _data_section(report),
        each_model_section(report),
        learning_section(report),
        comparisons_section(report),
        *([errors_section(report, pictures)] if whole else []),
        _reproducibility_section(report),
        _standards_section(report),
        _limitations_section(report),
    ]


VEGA_LITE = "6.4"


def render_html(report: Report, pictures: Pictures) -> str:
    """Return the page.

    Args:
        report: The content of reports/report.json.
        pictures: Image and heat map as PNG bytes by model name and file; what is absent shows as an empty frame.
    """
    scripts = [vega_library(), _resource("report.js")]
    template = _environment().get_template("report.html.j2")
    return template.render(
        title=report.title,
        # Vega sets styles of its own.
        policy=content_policy("data:", INLINE, scripts, more="form-action 'none'"),
        style=Markup(_resource("report.css")),
        scripts=[Markup(script) for script in scripts],
        config=CONFIG,
        head=_page_head(report),
        research=RESEARCH_ONLY,
        sections=sections(report, pictures),
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        finalize=lambda value: _on_one_line(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"pieces": _html_pieces, "as_json": _as_json, "data_uri": _data_uri, "shade": _shade}
    return environment


def _html_pieces(found: tuple[Piece, ...]) -> Markup:
    """Return pieces as HTML; a figure carries the number of the JSON that it was rounded from."""
    return Markup("").join(_piece(piece) for piece in found)


def _piece(piece: Piece) -> Markup:
    if isinstance(piece, Printed):
        return Markup('<data value="{}">{}</data>').format(json.dumps(piece.value), _on_one_line(piece.text))
    if isinstance(piece, Fixed):
        return Markup('<span class="fixed">{}</span>').format(_on_one_line(piece.text))
    return Markup("{}").format(_on_one_line(piece))


def _on_one_line(text: str) -> str:
    """Return a text whose lines are not broken between a number and its sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _as_json(value: object) -> Markup:
    return Markup(script_json(value))


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64_text(png)


def _shade(cell: Cell) -> str:
    """Return the style of a cell that is shaded by its share, or nothing."""
    return "" if cell.share is None else f"--share:{round(100 * cell.share)}%"


def _resource(name: str) -> str:
    return resources.files("cxr.evaluation.reporting").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def vega_library() -> str:
    """Return the script that defines `vegaEmbed`, with Vega and Vega-Lite in it."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", VEGA_LITE)
    return bundle.replace("</script", "<\\/script")


def render_markdown(report: Report) -> str:
    """Return the report as Markdown; the page beside it has charts and pictures."""
    top = _page_head(report)
    lines = [f"# {plain((report.title,))}", f"**{plain((top.headline,))}**"]
    lines.append(" ".join([plain(top.badge.pieces).capitalize() + ".", *(plain((one,)) for one in top.sentences)]))
    lines += [f"> {plain(one)}" for one in top.banner]
    lines += [f"> Waived: {plain((what,))}: {plain((why,))}" for what, why in top.waivers]
    lines.append(RESEARCH_ONLY)
    for section in sections(report, {}, whole=False):
        lines += [f"## {section.title}", *(part for block in section.blocks for part in markdown(block))]
    return "\n\n".join(line for line in lines if line) + "\n"


def plain(found: tuple[Piece, ...]) -> str:
    """Return pieces as one line in which no name is taken for Markdown or HTML."""
    return "".join(piece.text if isinstance(piece, Printed | Fixed) else _escaped(piece) for piece in found)


def _escaped(words: str) -> str:
    line = " ".join(words.split(" ")).replace("\r", " ").replace("\n", " ")
    for sign in ("\\", "|", "<", "`", "*", "]("):
        line = line.replace(sign, f"{sign[:-1]}\\{sign[-1]}")
    return line


def markdown(block: Block) -> Iterator[str]:
    """Yield the parts of a block; a chart and a gallery have none."""
    match block:
        case Table():
            yield from _table_lines(block)
        case Audits():
            yield _audit_lines(block)
        case Paragraph():
            yield plain(block.pieces)
        case Points():
            yield "\n".join(f"- {plain(item)}" for item in block.items)
        case Heading():
            yield f"{'#' * block.level} {plain((block.text,))}"
        case Fold():
            yield f"{'#' * block.level} {plain(block.title)}"
            yield from _each(block.blocks)
        case Grid():
            yield from _each(block.blocks)


def _each(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from markdown(block)


def _table_lines(block: Table) -> Iterator[str]:
    yield f"{plain((block.caption,))}:"
    rows = [[plain(cell.pieces) for cell in row.cells] for row in block.rows]
    yield _lines([plain((name,)) for name in block.header], rows, block.figures)
    if block.notes:
        yield plain(block.notes)


def _audit_lines(block: Audits) -> str:
    rows = [
        [
            f"{plain((entry.name,))} ({plain((entry.stage,))})",
            ", ".join(plain(badge.pieces) for badge in one.badges),
            plain((one.found,)) + (f" Waived: {plain((one.waiver,))}" if one.waiver else ""),
            plain((entry.limit,)) if one is entry.findings[0] else "",
        ]
        for entry in block.entries
        for one in entry.findings
    ]
    return _lines(["audit", "result", "found", "limit"], rows, [False] * 4)


def _lines(header: list[str], rows: list[list[str]], flush: list[bool]) -> str:
    rule = ["---:" if right else "---" for right in flush]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


STATUSES = REPORTED, MISSING, NOT_APPLICABLE = "reported", "missing", "not applicable"
CARD = "model_card.md"  # beside the report, and no part of it: its headings are always there, as a test checks

# What a place does not show by its words alone: they stand there where nothing was measured too.
FACTS: Mapping[str, Callable[[Report], bool]] = {
    "maps": lambda report: report.model(report.screening_model).cam.similarity_randomised is not None,
}


def standards(report: Report) -> tuple[Standard, ...]:
    """Return the standards with the status of every item.

    An item is reported where each place that it names is a section of this report and holds the words that it quotes.

    Args:
        report: Its own `standards` are not looked at.
    """
    said = {section.id: "\n".join(_all_words(section.blocks)) for section in sections(report, {})}
    said["verdict"] = head_words(report)
    return tuple(_standard(stated, report, said) for stated in _stated())


@cache
def _stated() -> Sequence[Mapping[str, Any]]:
    """Return what standards.json asks of a report.

    An item has a `status` and `where`, which hold for every report; or `places`, pairs of section and words, perhaps a
    fact that must hold too (`if`), and what is said and (`otherwise`) its status where it does not.
    """
    text = resources.files("cxr.evaluation.reporting").joinpath("standards.json").read_text(encoding="utf-8")
    found: Sequence[Mapping[str, Any]] = json.loads(text)["standards"]
    return found


def _standard(stated: Mapping[str, Any], report: Report, said: Mapping[str, str]) -> Standard:
    items = tuple(StandardItem(one["item"], one["title"], *_resolved(one, report, said)) for one in stated["items"])
    found = Counter(item.status for item in items)
    return Standard(stated["standard"], items, {status: found[status] for status in STATUSES if found[status]})


def _resolved(item: Mapping[str, Any], report: Report, said: Mapping[str, str]) -> tuple[str, str]:
    """Return status and where."""
    if "places" not in item:
        return item["status"], item["where"]
    fact = item.get("if")
    is_there = all(place == CARD or words in said.get(place, "") for place, words in item["places"])
    if is_there and (fact is None or FACTS[fact](report)):
        places = [f'{place}: "{words}"' for place, words in item["places"]]
        return REPORTED, "; ".join([*places, *([item["how"]] if "how" in item else [])])
    return item.get("otherwise", MISSING), item["else"]


def _all_words(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _words(block)


def _words(block: Block) -> Iterator[str]:
    """Yield the words of a block, of charts their captions."""
    match block:
        case Chart():
            yield block.caption
        case Fold():
            yield plain(block.title)
            yield from _all_words(block.blocks)
        case Grid():
            yield from _all_words(block.blocks)
        case _:
            yield from markdown(block)
