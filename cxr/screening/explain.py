"""`--explain`: maps of where the score of some rows comes from, from the finished table and the files it names."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr.core.errors import UsageError
from cxr.core.files import JsonObject, make_folder, read_json, remove, start_of, write_bytes, write_json, write_text
from cxr.core.image import Plane
from cxr.core.pages import content_policy, heat_over_film, image_bytes
from cxr.core.process import available_cores
from cxr.inference.decisions import NOT_SUSPECTED
from cxr.inference.gate import Flag
from cxr.inference.lungs import Segmenter
from cxr.inference.model_folder import ScreeningModel, load_model_lungs
from cxr.inference.network import NETWORK_FILE, LinearHead, Maps, class_maps, enlarge, read_linear_head
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Run
from cxr.screening.paths import PathStyle
from cxr.screening.read import prefetch, read
from cxr.screening.schema import Schema, Status
from cxr.screening.summary import RESEARCH

HEAT_DIGITS = 3
MEANING = "this is where the score comes from, not where disease is"


@dataclass(frozen=True, slots=True)
class HeatInLungs:
    """How much of a map lies in the lungs that the model's segmenter finds.

    Attributes:
        heat: Share of the map's sum, 0 to 1, what an even map would have being `area`; None of a blank map.
        area: Share of the film that is lungs, 0 to 1; 0 where none were found.
    """

    heat: float | None
    area: float

    @property
    def sentence(self) -> str:
        """It in words; empty where there is nothing to say."""
        if not self.area:
            return "No lungs were found on this film."
        if self.heat is None:
            return ""
        return (
            f"{self.heat:.0%} of the map's heat lies in the lungs that the segmenter finds; they are {self.area:.0%} "
            "of the film."
        )


def heat_in_lungs(map_: NDArray[np.float32], mask: NDArray[np.bool_]) -> HeatInLungs:
    """Measure a map, float32 (n, n) from 0, on lungs, bool (side, side)."""
    heat = enlarge(map_, len(mask)).astype(np.float64)
    total = heat.sum()
    share = round(float(heat[mask].sum() / total), HEAT_DIGITS) if total > 0 else None
    return HeatInLungs(share, round(float(mask.mean()), HEAT_DIGITS))


def caption_lines(record: Mapping[str, str], worth: str, *, blank: bool, lungs: HeatInLungs | None = None) -> list[str]:
    """Return the lines below a picture.

    Args:
        record: The row; its path is a digest where names are hashed.
        worth: From `maps_worth`.
        blank: Whether the map is nought everywhere.
        lungs: Where the heat lies; None where the model has no segmenter.
    """
    decision = f"; decision: {record['decision']}" if record["decision"] else "; no decision"
    because = f" ({record['refer_reason']})" if record["refer_reason"] else ""
    nothing = [f"The map is blank: no part of the picture speaks for {record['prediction']}."] if blank else []
    return [
        f"file: {record['path']}",
        f"model: {record['model']}; {record['prediction']} {float(record['confidence']):.3f}{decision}{because}",
        *nothing,
        *([lungs.sentence] if lungs and lungs.sentence else []),
        worth,
        RESEARCH,
    ]


def maps_worth(description: JsonObject) -> str:
    """Return what the audits of a network's maps found, as one sentence, from its model.json."""
    card: Mapping[str, Any] = (description.get("evaluation") or {}).get("card") or {}
    cam: Mapping[str, Any] = card.get("cam") or {}
    similarity, void = cam.get("similarity_randomised"), cam.get("void")
    lungs = card.get("lung_dependence")
    if similarity is None or void is None:
        found = "were not compared with those of random weights"
    elif void:
        found = f"are {similarity:.2f} similar to those of random weights: VOID, they say nothing of what was learnt"
    else:
        found = f"are {similarity:.2f} similar to those of random weights (not void)"
    dependence = "" if lungs is None else f"; without the lungs {lungs:.2f} of its lead over chance is lost"
    return f"Maps of this network {found}{dependence}; {MEANING}."


INDEX_PAGE, INDEX_FILE = "index.html", "index.json"
FORM = 1
CELLS = ("path", "sha256", "prediction", "confidence", "decision", "refer_reason", "flags")
_NAME = re.compile(r"[0-9a-f]{16}[A-Za-z0-9._-]*\.png")
_STYLE = (
    "body{font:16px/1.4 sans-serif;margin:2em auto;max-width:960px;padding:0 1em}"
    "img{max-width:100%;height:auto;display:block}figure{margin:2em 0}figcaption{overflow-wrap:anywhere}"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, the row it explains and, with a segmenter, how much of its map lies in the lungs."""

    name: str
    record: Mapping[str, str]
    lungs: HeatInLungs | None = None


def write_index(
    folder: Path, shown: Sequence[Shown], changed: Sequence[str], more: int, identity: str, worth: str
) -> None:
    """Write both lists, each whole or not at all.

    Args:
        folder: Where the pictures are.
        shown: In the order of the table.
        changed: Cells of files that were not drawn, because they have changed.
        more: Number of rows left aside by the limit.
        identity: Of the network.
        worth: What its maps were found to be worth.
    """
    pictures = [
        {"picture": one.name} | {name: one.record[name] for name in CELLS} | _in_lungs(one.lungs) for one in shown
    ]
    facts = {"explained": FORM, "model": identity, "maps": worth, "beyond_limit": more, "changed": list(changed)}
    write_text(folder / INDEX_PAGE, "".join(_page(shown, changed, more, identity, worth)))
    write_json(folder / INDEX_FILE, facts | {"pictures": pictures})


def is_index(path: Path) -> bool:
    """Tell whether a file begins as the list of maps for programs does."""
    return start_of(path).lstrip(b"{ \n").startswith(b'"explained":')


def is_index_page(path: Path) -> bool:
    """Tell whether a file begins as the list of maps for people does."""
    return b"<title>Maps of " in start_of(path)


def _in_lungs(found: HeatInLungs | None) -> JsonObject:
    return {"heat_in_lungs": found.heat, "lung_area": found.area} if found else {}


def remove_others(folder: Path, names: Collection[str]) -> None:
    """Remove the pictures of an earlier call, as far as its index lists them, that are not among `names`."""
    try:
        index = read_json(folder / INDEX_FILE)
        listed = [str(one["picture"]) for one in index["pictures"]] if index["explained"] == FORM else []
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in listed:
        if name not in names and _NAME.fullmatch(name):
            remove(folder / name)


def _page(shown: Sequence[Shown], changed: Sequence[str], more: int, identity: str, worth: str) -> Iterator[str]:
    policy = content_policy("'self' file:", _STYLE)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield f"<title>Maps of {escape(identity)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>Maps of {escape(identity)}</h1>\n<p>{escape(worth)}</p>\n<p>{RESEARCH}</p>\n"
    aside = f"; {more:,} more left aside by --explain-limit" if more else ""
    yield f"<p>{len(shown):,} {'picture' if len(shown) == 1 else 'pictures'}{aside}.</p>\n"
    if changed:
        items = "".join(f"<li>{escape(cell)}</li>" for cell in changed)
        yield f"<p>Not drawn, because these files have changed since they were screened:</p>\n<ul>{items}</ul>\n"
    for one in shown:
        record = one.record
        said = " ".join((record["prediction"], record["confidence"], record["decision"], record["flags"]))
        words = escape(f"{record['path']}: {said.strip()}{f'. {one.lungs.sentence}' if one.lungs else ''}")
        yield f'<figure><img loading="lazy" src="{escape(one.name)}" alt="{words}"><figcaption>{words}</figcaption>'
        yield "</figure>\n"
    yield "</body>\n</html>\n"


SIDE = 448  # pixels of each of the two films
GAP = 8
TEXT = 15  # pixels
LINE = 20
_BASIC = 0xFFFF  # the last code point of four digits
INK, PAPER = (235, 235, 235), (16, 16, 16)
WIDTH = 2 * SIDE + 3 * GAP


def picture_of(film: Plane, map_: NDArray[np.float32], lines: Sequence[str]) -> bytes:
    """Return PNG bytes, equal for equal arguments.

    Args:
        film: uint8 (SIDE, SIDE).
        map_: float32 (n, n), from 0 to 1.
        lines: What is printed below; long ones are wrapped. What is not ASCII is printed as an escape, because the
            font has no other letters.
    """
    font = _font()
    wrapped = [part for line in lines for part in wrap(in_ascii(line), font)]
    image = Image.new("RGB", (WIDTH, SIDE + 2 * GAP + LINE * len(wrapped) + GAP), PAPER)
    image.paste(Image.fromarray(film).convert("RGB"), (GAP, GAP))
    image.paste(Image.fromarray(heat_over_film(film, enlarge(map_, SIDE))), (2 * GAP + SIDE, GAP))
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(wrapped):
        draw.text((GAP, 2 * GAP + SIDE + number * LINE), line, fill=INK, font=font)
    return image_bytes(image, "PNG", compress_level=6)


def wrap(line: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """Break a line where it would leave the picture: between words, and within one that alone is too long."""
    parts, rest = [], line
    while rest and font.getlength(rest) > WIDTH - 2 * GAP:
        fits = next(n for n in range(len(rest), 0, -1) if font.getlength(rest[:n]) <= WIDTH - 2 * GAP)
        at = rest.rfind(" ", 1, fits + 1)
        cut = at if at > 0 else fits
        parts.append(rest[:cut])
        rest = rest[cut:].lstrip(" ")
    return [*parts, rest]


def _font() -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, laid out by Pillow alone: another layout engine may be there on one machine only."""
    font = ImageFont.load_default(TEXT)
    assert isinstance(font, ImageFont.FreeTypeFont), "a font with a size is one"
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def in_ascii(line: str) -> str:
    r"""Write what is not ASCII as its code point, `\u00f6` or `\U0001fa7b`.

    Never as `\xf6`: that is a byte of a cell, as `cxr.screening.paths` writes it. There every backslash of a name is
    doubled, and none stands before a `u`, so two cells never give one line.
    """
    return "".join(character if character.isascii() else _code_point(ord(character)) for character in line)


def _code_point(number: int) -> str:
    return f"\\u{number:04x}" if number <= _BASIC else f"\\U{number:08x}"


Record = Mapping[str, str]

BLOCK = 32  # pictures at a time
DIGITS = 16  # of a file's SHA-256, in the name of its picture
STEM = 80  # characters of a file's own name in it, at most


@dataclass(frozen=True, slots=True)
class Explained:
    """What came of it.

    Attributes:
        drawn: Number of pictures.
        changed: Cells of files that are not those of the table any more, or that cannot be read any more.
        more: Number of rows that were left aside by the limit.
    """

    drawn: int
    changed: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A row and its file's planes by side; of a file that is another now, none."""

    record: Record
    stem: str
    planes: Mapping[int, Plane]


def explain(folder: Path, records: Sequence[Record], more: int, work: Run, model: ScreeningModel) -> Explained:
    """Write one picture for each of `records`, and the index of the folder.

    Pictures that an earlier call has listed in the index there, and this one has not drawn, are removed.

    Args:
        folder: Made where it is absent.
        records: Rows with an answer, of the table of `work`.
        more: Number of rows that were left aside; for the index.
        work: Knows where the files are.
        model: The first network.

    Raises:
        ModelError: The network does not end in one linear layer, or its segmenter is not what its description says.
        OutputError: The folder cannot be written.
    """
    shown: list[Shown] = []
    changed: list[str] = []
    worth, names = maps_worth(model.description), Counter[str]()
    make_folder(folder)
    head, segmenter = _head_of(model), load_model_lungs(model.folder, model.description)
    sides = {model.plane_side, SIDE, *([segmenter.plane_side] if segmenter else [])}
    for block in _blocks(_decoded_again(records, work, sorted(sides))):
        changed += [seen.record["path"] for seen in block if not seen.planes]
        there = [seen for seen in block if seen.planes]
        maps = _maps(model, head, there)
        for seen, map_, lungs in zip(there, maps, _lungs(segmenter, there, maps), strict=True):
            name = _file_name(seen, names)
            lines = caption_lines(seen.record, worth, blank=not map_.any(), lungs=lungs)
            write_bytes(folder / name, picture_of(seen.planes[SIDE], map_, lines))
            shown.append(Shown(name, seen.record, lungs))
    remove_others(folder, {one.name for one in shown})
    write_index(folder, shown, changed, more, model.identity, worth)
    return Explained(len(shown), tuple(changed), more)


def _decoded_again(records: Sequence[Record], work: Run, sides: Sequence[int]) -> Iterator[_Decoded]:
    """Decode the files again, some ahead."""
    wanted = {record["path"] for record in records}
    candidates = {one.cell: one for one in work.selection.candidates if one.cell in wanted}
    naming = work.request.naming
    hashed = naming.style is PathStyle.HASHED
    options = replace(work.reading, keywords=())

    def decoded(record: Record) -> _Decoded:
        candidate: Candidate = candidates[record["path"]]
        reading = read(candidate, naming.root, sides, options)
        stem = "" if hashed else PurePosixPath(candidate.relative).stem
        return _Decoded(record, stem, reading.planes if reading.sha256 == record["sha256"] else {})

    return prefetch(decoded, records, work.workers or available_cores(), 2 * BLOCK)


def _blocks(seen: Iterator[_Decoded]) -> Iterator[list[_Decoded]]:
    while block := list(islice(seen, BLOCK)):
        yield block


def _maps(model: ScreeningModel, head: LinearHead, block: Sequence[_Decoded]) -> Maps:
    """Return the map of each picture for the class that was predicted, float32 (n, side, side)."""
    if not block:
        return np.zeros((0, model.plane_side, model.plane_side), np.float32)
    planes = np.stack([seen.planes[model.plane_side] for seen in block])
    classes = np.array([model.classes.index(seen.record["prediction"]) for seen in block], np.int64)
    return class_maps(model.network, head, planes, classes)


def _lungs(segmenter: Segmenter | None, block: Sequence[_Decoded], maps: Maps) -> list[HeatInLungs | None]:
    if segmenter is None or not block:
        return [None] * len(block)
    masks = segmenter.masks(np.stack([seen.planes[segmenter.plane_side] for seen in block]))
    return [heat_in_lungs(map_, mask) for map_, mask in zip(maps, masks, strict=True)]


def _head_of(model: ScreeningModel) -> LinearHead:
    """Read the last layer, and prove it on a ramp: a plane of one grey could agree by chance."""
    ramp = np.linspace(0, 255, model.plane_side**2).astype(np.uint8)
    said = model.network.predict(ramp.reshape(1, model.plane_side, model.plane_side))
    return read_linear_head(model.folder / NETWORK_FILE, said.features, said.logits)


def _file_name(seen: _Decoded, names: "Counter[str]") -> str:
    """Return a name that any file system takes; equal files of one name are told apart by a number.

    Some file systems do not tell capitals from small letters; and a film may be called like another one's number.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", seen.stem)[:STEM]
    name = plain = "-".join(part for part in (seen.record["sha256"][:DIGITS], stem) if part)
    while names[name.lower()]:
        names[plain.lower()] += 1
        name = f"{plain}-{names[plain.lower()]}"
    names[name.lower()] += 1
    return f"{name}.png"


SUSPECTED = "suspected"
LIMIT = 200


def parse_words(text: str, schema: Schema) -> frozenset[str]:
    """Read what `--explain-rows` says: words with commas between them.

    Raises:
        UsageError: A word is none of the first network's classes, flags or decisions, nor `ok` or `suspected`.
    """
    head = schema.heads[0]
    decided = (SUSPECTED, *head.applied.words) if head.applied else ()
    known = dict.fromkeys((Status.OK.value, *decided, *head.classes, *(flag.value for flag in Flag)))
    words = frozenset(word.strip() for word in text.split(","))
    wrong = sorted(words - known.keys())
    if wrong and wrong[0] == SUSPECTED:
        raise UsageError(
            f"--explain-rows {text}: {head.identity} has no decisions, so no row is suspected; give "
            f"{Status.OK.value} or one of {', '.join(head.classes)}"
        )
    if wrong:
        raise UsageError(f"--explain-rows {text}: '{wrong[0]}' is no word of the table; expected {', '.join(known)}")
    return words


def choose_rows(records: Iterable[Record], words: frozenset[str], limit: int) -> tuple[list[Record], int]:
    """Return the first `limit` rows that one of `words` fits, and how many more there are.

    Only a row with an answer has anything to explain; a picture that was not answered is never chosen.
    """
    chosen: list[Record] = []
    more = 0
    for record in records:
        if record["status"] != Status.OK or not words & _words_of(record):
            continue
        if len(chosen) < limit:
            chosen.append(record)
        else:
            more += 1
    return chosen, more


def _words_of(record: Record) -> set[str]:
    """Return the words that fit a row: of its status, of the first network's class and decision, and of its flags."""
    decision = record["decision"]
    suspected = {SUSPECTED} if decision.endswith(f"_{SUSPECTED}") and decision != NOT_SUSPECTED else set()
    return {record["status"], record["prediction"], decision, *record["flags"].split()} | suspected
