"""What came out of a run, in words and counts: the summary sheet of a workbook, the head of the page, the console."""

from collections.abc import Iterable, Iterator, Sequence

from cxr import __version__
from cxr.core.errors import Reason
from cxr.inference.decisions import ReferReason
from cxr.screening.run_manifest import Tally
from cxr.screening.schema import ModelColumns, Status, UnseenAlarms
from cxr.screening.workbook import Value

RESEARCH = "For research; not a medical device."
REFERRED = {
    ReferReason.OUT_OF_DISTRIBUTION: "they are unlike what was learnt from",
    ReferReason.SEVERAL_CLASSES: "several classes are possible",
    ReferReason.EMPTY_SET: "no class fits",
    ReferReason.DISAGREEMENT: "the members of the ensemble differ",
    ReferReason.CONTRADICTION: "the most probable class and the threshold say different things",
    ReferReason.LATERAL: "they were taken from the side",
    ReferReason.ROTATED_90: "the chest seems to lie on its side",
    ReferReason.ROTATED_180: "the chest seems to stand on its head",
    ReferReason.INVERTED: "black and white look swapped",
}
_STATUSES = {
    Status.OK: "answered",
    Status.REJECTED: "not one radiograph of a chest that can be answered; see the column reason",
    Status.ERROR: "something went wrong; the same command tries them again",
}
_READING = (
    "docs/results-csv.md says what each column and each word means",
    "the model card says what the network was trained on, what it scores and what it must not be used for",
)


def whose(tally: Tally, head: ModelColumns) -> str:
    """Return what a sentence about one of several networks begins with; nothing where there is one."""
    return f"{head.identity}: " if len(tally.schema.heads) > 1 else ""


def decision_meanings(head: ModelColumns) -> dict[str, str]:
    """Return what each decision of a network means; none of a network without decisions."""
    applied = head.applied
    if applied is None:
        return {}
    suspected, not_suspected, refer = applied.words
    threshold = f"{applied.threshold:.6f}, at {applied.operating_point}"
    return {
        suspected: f"one class is possible, and the probability of {applied.target} is at least {threshold}",
        not_suspected: f"one class is possible, and the probability of {applied.target} is below {threshold}",
        refer: "a person should decide: the network should not",
    }


def meanings_of(tally: Tally) -> dict[str, str]:
    """Return what the words of the rows mean, as far as the rows have them."""
    found: dict[str, str] = {}
    for number, head in enumerate(tally.schema.heads):
        found |= decision_meanings(head) if not found else {}
        found |= {reason.value: REFERRED[reason] for reason in ReferReason if tally.refer_reasons[number][reason]}
    return found | {status.value: words for status, words in _STATUSES.items() if tally.statuses[status]}


def others_sentence(tally: Tally) -> str:
    """Say how many files have no row because they are no images; empty where none is."""
    others = len(tally.not_images)
    if not others:
        return ""
    has = "file has" if others == 1 else "files have"
    return f"{others:,} other {has} no row: neither name nor content is an image's"


def copies_sentence(tally: Tally) -> str:
    """Say how many files are copies of others; empty where none is."""
    copies, originals = tally.copies
    if not copies:
        return ""
    are = "file is a copy" if copies == 1 else "files are copies"
    return f"{copies:,} {are} of {originals:,} other{'' if originals == 1 else 's'}, byte for byte"


def doubtful_sentence(tally: Tally) -> str:
    """Ask to look at what the gate's network rejected; empty where there is nothing."""
    count = tally.reasons[Reason.NOT_A_RADIOGRAPH]
    if not count:
        return ""
    them = "1 file that was" if count == 1 else f"{count:,} files that were"
    return f"look at the {them} rejected as no chest radiograph: now and then one is a real film"


def unread_sentences(tally: Tally) -> Iterator[str]:
    """Say how many files are of each format that is not read."""
    for kind, count in tally.formats_not_read:
        yield f"{count:,} {'file is' if count == 1 else 'files are'} {kind.words}"


def small_data_sentences(tally: Tally) -> Iterator[str]:
    """Say which networks had too few validation images for their prediction sets, and the remedy."""
    for head in tally.schema.heads:
        if head.applied and head.applied.too_few_images:
            yield f"{whose(tally, head)}{head.applied.too_few_images}"


def training_sentences(tally: Tally) -> Iterator[str]:
    """Say how many files each network was trained on."""
    for number, head in enumerate(tally.schema.heads):
        if trained := tally.in_training_set[number]["yes"]:
            one = trained == 1
            files = "file is a picture" if one else "files are pictures"
            yield (
                f"{whose(tally, head)}{trained:,} {files} that the network was trained on; "
                f"{'its answer does' if one else 'their answers do'} not show how good the network is"
            )


def drift_sentences(tally: Tally) -> Iterator[tuple[bool, str]]:
    """Say how the answers of each network compare with validation, and whether that is a warning."""
    for head, drift in zip(tally.schema.heads, tally.drift, strict=True):
        if drift:
            odd = any(one.far_off for one in drift.comparisons)
            yield from ((odd, f"{whose(tally, head)}{sentence}") for sentence in drift.sentences())
            if odd and head.applied:
                yield True, f"{whose(tally, head)}{_elsewhere(head.record.unseen_alarms, head.applied.target)}"


def _elsewhere(alarms: UnseenAlarms | None, target: str) -> str:
    """Say what to expect of films that are not like those that a network has learnt from."""
    if alarms is None:
        return "this model's card has no figures of hospitals that took no part in its training"
    of = f"{alarms.label} films {target}"
    if alarms.hospitals == 1:
        found = f"made again without a hospital, this model called {alarms.highest:.0%} of its {alarms.films:,} {of}"
    else:
        found = (
            f"made again without each of {alarms.hospitals} hospitals, this model called {alarms.lowest:.0%} to "
            f"{alarms.highest:.0%} of their {of} ({alarms.films:,} films)"
        )
    return f"{found}; docs/adapt.md says how to fit it to your site"


def warnings_of(tally: Tally) -> list[str]:
    """Return what whoever uses the answers must know, in whole clauses."""
    drawn = [head.identity for head in tally.schema.heads if head.record.synthetic]
    return [
        *(f"{name} was trained on drawn phantoms; its answers mean nothing for patients" for name in drawn),
        *small_data_sentences(tally),
        *training_sentences(tally),
        *(sentence for odd, sentence in drift_sentences(tally) if odd),
        *filter(None, (doubtful_sentence(tally),)),
        *unread_sentences(tally),
    ]


def summary_rows(tally: Tally) -> Iterator[Sequence[Value]]:
    """Give the rows of the summary sheet: titles, and below each a word, how many files and what it means."""
    yield (f"cxr-batch {__version__}: summary",)
    yield (RESEARCH, None)
    yield from _block("Models", _models(tally))
    yield from _block("Files", _files(tally))
    for number, head in enumerate(tally.schema.heads):
        of = f" of {head.identity}" if len(tally.schema.heads) > 1 else ""
        counts, referred = tally.decisions[number], tally.refer_reasons[number]
        meanings = decision_meanings(head).items()
        yield from _block(f"Decisions{of}", ((word, counts[word], meaning) for word, meaning in meanings))
        yield from _block(
            f"Referred{of} because",
            ((reason, referred[reason], REFERRED[reason]) for reason in ReferReason if referred[reason]),
        )
        yield from _block(f"Predictions{of}", ((name, tally.predictions[number][name]) for name in head.classes))
    yield from _block("Without an answer because", tally.reasons.most_common())
    yield from _block("Flags", sorted(tally.flags.items()))
    yield from _block("Networks agree", sorted(tally.agreement.items()))
    yield from _block("Warnings", ((sentence, None) for sentence in warnings_of(tally)))
    yield from _block("Beside validation", ((sentence, None) for odd, sentence in drift_sentences(tally) if not odd))
    yield from _block("What to read", ((sentence, None) for sentence in _READING))


def _block(title: str, rows: Iterable[Sequence[Value]]) -> Iterator[Sequence[Value]]:
    """Give an empty row, the title and the rows; nothing where there are none."""
    if found := list(rows):
        yield (None, None)
        yield (title,)
        yield from found


def _models(tally: Tally) -> Iterator[Sequence[Value]]:
    for head in tally.schema.heads:
        applied = head.applied
        point = f"decides at {applied.operating_point}" if applied else "not calibrated: no decisions"
        yield (head.identity, None, point)
    gate = tally.schema.gate
    yield (f"gate {gate.sha256[:12]}", None, "judges pictures before the networks") if gate else ("no gate", None)


def _files(tally: Tally) -> Iterator[Sequence[Value]]:
    yield ("rows", tally.rows, "files that may be images, one row each")
    for status in Status:
        yield (status, tally.statuses[status], _STATUSES[status])
    if tally.not_images:
        yield ("no row", len(tally.not_images), "neither name nor content is an image's; the manifest names them")
    copies, originals = tally.copies
    if copies:
        yield ("copies", copies, f"of {originals:,} other file{'' if originals == 1 else 's'}, byte for byte")
