import json
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cxr.core.errors import UsageError
from cxr.core.pages import RAMP, heat_over_film
from cxr.inference.gate import Flag
from cxr.inference.network import enlarge
from cxr.screening.explain import (
    DIGITS,
    GAP,
    SIDE,
    WIDTH,
    HeatInLungs,
    Shown,
    _Decoded,
    _file_name,
    _font,
    caption_lines,
    choose_rows,
    heat_in_lungs,
    in_ascii,
    maps_worth,
    parse_words,
    picture_of,
    remove_others,
    wrap,
    write_index,
)
from cxr.screening.paths import escape
from cxr.screening.schema import schema_of
from tests.decision_forms import CLASSES
from tests.screening.fakes import deciding_model, model_record


def row(**cells: str) -> dict[str, str]:
    return {
        "path": "a.png", "status": "ok", "prediction": "covid", "confidence": "0.912345", "decision": "covid_suspected",
        "refer_reason": "", "flags": "", "model": "cnn1-0123456789ab", "sha256": "ab" * 32,
    } | cells  # fmt: skip


def schema(*, decided: bool = True):
    decisions = deciding_model().decisions.record("covid_sens95", "45" * 32) if decided else None
    return schema_of([model_record("cnn1", "cnn1-a", CLASSES, decisions)])


ROWS = [
    row(path="0"),
    row(path="1", prediction="normal", decision="not_suspected"),
    row(path="2", decision="refer", flags="small inverted"),
    row(path="3", status="error", prediction="", decision="", flags="small"),
]


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ("suspected", "0"),
        ("not_suspected", "1"),
        ("refer", "2"),
        ("ok", "012"),
        ("normal, inverted", "12"),
        ("small", "2"),
        ("viral_pneumonia", ""),
    ],
)
def test_rows_are_chosen_by_words_of_the_table_and_need_an_answer(words, paths):
    chosen, more = choose_rows(ROWS, parse_words(words, schema()), limit=10)
    assert "".join(one["path"] for one in chosen) == paths
    assert more == 0


def test_the_limit_takes_the_first_and_counts_the_others():
    chosen, more = choose_rows(ROWS, frozenset({"ok"}), limit=2)
    assert ([one["path"] for one in chosen], more) == (["0", "1"], 1)


def test_every_flag_class_and_decision_is_a_word():
    words = {*CLASSES, *(flag.value for flag in Flag), "covid_suspected", "not_suspected", "refer", "suspected", "ok"}
    assert parse_words(",".join(words), schema()) == words


@pytest.mark.parametrize(
    ("words", "decided", "sentence"),
    [
        ("covid,lungs", True, "'lungs' is no word of the table; expected ok, suspected, covid_suspected"),
        ("", True, "'' is no word"),
        ("suspected", False, "cnn1-a has no decisions, so no row is suspected; give ok or one of covid, normal"),
        ("refer", False, "'refer' is no word of the table"),
    ],
)
def test_what_no_row_can_be_is_refused(words, decided, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_words(words, schema(decided=decided))


def described(**card: object) -> dict[str, object]:
    return {"evaluation": {"card": card}}


def test_the_stamp_says_what_the_maps_were_found_to_be_worth():
    good = maps_worth(described(cam={"similarity_randomised": 0.131, "void": False}, lung_dependence=0.9271))
    assert good == (
        "Maps of this network are 0.13 similar to those of random weights (not void); without the lungs 0.93 of its "
        "lead over chance is lost; this is where the score comes from, not where disease is."
    )
    assert "0.61 similar to those of random weights: VOID, they say nothing" in maps_worth(
        described(cam={"similarity_randomised": 0.61, "void": True})
    )
    for unknown in ({}, {"evaluation": {}}, described(), described(cam={"similarity_randomised": None, "void": None})):
        assert "were not compared with those of random weights; this is where" in maps_worth(unknown)


def test_the_stamp_names_file_model_class_decision_and_a_blank_map():
    lines = caption_lines(row(decision="refer", refer_reason="several_classes"), "worth", blank=True)
    assert lines == [
        "file: a.png",
        "model: cnn1-0123456789ab; covid 0.912; decision: refer (several_classes)",
        "The map is blank: no part of the picture speaks for covid.",
        "worth",
        "For research; not a medical device.",
    ]
    assert "covid 0.912; no decision" in caption_lines(row(decision=""), "worth", blank=False)[1]


def test_heat_is_shared_out_between_lungs_and_the_rest_and_a_blank_map_has_none():
    mask, map_ = np.zeros((16, 16), np.bool_), np.zeros((4, 4), np.float32)
    mask[:, :4] = True
    map_[:] = 1
    assert heat_in_lungs(map_, mask) == HeatInLungs(0.25, 0.25)
    assert heat_in_lungs(map_ * 0, mask) == HeatInLungs(None, 0.25)
    assert HeatInLungs(0.482, 0.25).sentence == (
        "48% of the map's heat lies in the lungs that the segmenter finds; they are 25% of the film."
    )
    assert HeatInLungs(None, 0.25).sentence == ""
    assert HeatInLungs(0.0, 0.0).sentence == "No lungs were found on this film."


def test_what_lies_in_the_lungs_stands_above_what_maps_are_worth():
    lines = caption_lines(row(), "worth", blank=False, lungs=HeatInLungs(0.5, 0.25))
    assert lines[2:4] == [HeatInLungs(0.5, 0.25).sentence, "worth"]
    assert len(caption_lines(row(), "worth", blank=False, lungs=HeatInLungs(None, 0.25))) == len(lines) - 1


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data))).astype(int)


def test_the_film_stands_beside_the_film_under_its_map():
    film = np.full((SIDE, SIDE), 100, np.uint8)
    film[:, : SIDE // 4] = 30
    map_ = np.zeros((8, 8), np.float32)
    map_[:, 6:] = 1
    pixels = opened(picture_of(film, map_, ["one line"]))
    left = pixels[GAP : GAP + SIDE, GAP : GAP + SIDE]
    right = pixels[GAP : GAP + SIDE, 2 * GAP + SIDE : 2 * (GAP + SIDE)]
    assert SIDE >= 448
    assert pixels.shape[1] == WIDTH
    assert (left == film[..., None]).all()
    assert (right[:, : SIDE // 2] == film[:, : SIDE // 2, None]).all()
    assert np.abs(right[:, -1] - (0.4 * 100 + 0.6 * RAMP[-1])).max() <= 1


def test_the_text_changes_the_picture_and_equal_ones_have_equal_bytes():
    film, map_ = np.zeros((SIDE, SIDE), np.uint8), np.zeros((8, 8), np.float32)
    one = picture_of(film, map_, ["file: a"])
    assert one == picture_of(film.copy(), map_.copy(), ["file: a"])
    assert one != picture_of(film, map_, ["file: b"])


def test_long_lines_are_wrapped_and_lose_nothing():
    font = _font()
    for line in ("word " * 90 + "end", "x" * 700, "short", "a " + "y" * 300 + " b"):
        parts = wrap(line, font)
        assert all(font.getlength(part) <= WIDTH - 2 * GAP for part in parts)
        assert "".join(parts).replace(" ", "") == line.replace(" ", "")
        assert (len(parts) == 1) == (line == "short")


def test_names_outside_ascii_are_printed_as_escapes():
    film, map_ = np.zeros((SIDE, SIDE), np.uint8), np.zeros((8, 8), np.float32)
    assert picture_of(film, map_, ["file: ж"]) == picture_of(film, map_, ["file: \\u0436"])


def test_an_escape_of_a_letter_is_no_escape_of_a_byte():
    assert in_ascii(escape("Röntgen Müller.png")) == r"R\u00f6ntgen M\u00fcller.png"
    assert in_ascii(escape("日\uffff\U0001fa7b")) == r"\u65e5\uffff\U0001fa7b"
    names = [
        "ö",
        "o\u0308",
        "\udcf6",
        r"\xf6",
        r"\u00f6",
        "\\ö",
        "\udcc3\udcb6x",
        "\x85",
        "Ã¶",
        "\U0001fa7b",
        r"\U0001fa7b",
    ]
    lines = [in_ascii(escape(name)) for name in names]
    assert all(line.isascii() for line in lines)
    assert len(set(lines)) == len(names)


def test_no_two_films_get_one_picture():
    def name(stem, sha256="ab" * 32):
        return _file_name(_Decoded({"sha256": sha256}, stem, {}), names)

    start = "ab" * (DIGITS // 2)
    for stems, ends in (
        (["left", "left", "left-2"], ["left", "left-2", "left-2-2"]),
        (["left-2", "left", "left"], ["left-2", "left", "left-3"]),
        (["Left", "left"], ["Left", "left-2"]),
        (["Müller", "M?ller", "M\udcfcller"], ["M_ller", "M_ller-2", "M_ller-3"]),
    ):
        names = Counter()
        assert [name(stem) for stem in stems] == [f"{start}-{end}.png" for end in ends]
    assert name("left", "cd" * 32) == f"{'cd' * (DIGITS // 2)}-left.png"


def test_a_blank_map_leaves_the_film_alone():
    film = np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE).astype(np.uint8)
    assert (heat_over_film(film, enlarge(np.zeros((4, 4), np.float32), len(film))) == film[..., None]).all()


def test_the_page_cannot_be_escaped_from_and_needs_no_script(tmp_path):
    hostile = '"><script>alert(1)</script>'
    write_index(tmp_path, [Shown("0" * 16 + "-a.png", row(path=hostile))], [hostile], 3, "cnn1-a", "worth")
    page = (tmp_path / "index.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "&quot;&gt;&lt;script&gt;" in page
    assert "<p>1 picture; 3 more left aside by --explain-limit.</p>" in page
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["pictures"][0]["path"] == index["changed"][0] == hostile
    assert (index["beyond_limit"], index["maps"]) == (3, "worth")


def test_only_pictures_that_the_index_lists_are_removed(tmp_path):
    old, kept, foreign = "a" * 16 + "-x.png", "b" * 16 + "-y.png", "mine.png"
    for name in (old, kept, foreign):
        (tmp_path / name).write_bytes(b"")
    outside = tmp_path.parent / ("c" * 16 + ".png")
    outside.write_bytes(b"")
    remove_others(tmp_path, {kept})
    assert (tmp_path / old).exists()
    write_index(tmp_path, [Shown(name, row()) for name in (old, kept, foreign, f"../{outside.name}")], [], 0, "m", "w")
    remove_others(tmp_path, {kept})
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted([kept, foreign])
    assert outside.exists()
