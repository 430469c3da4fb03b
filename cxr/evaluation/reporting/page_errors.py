"""Test images to look at: the surest errors, and a few plain examples."""

from collections.abc import Mapping

from cxr.evaluation.reporting.blocks import Block, Fold, Gallery, Heading, Paragraph, Picture, Section
from cxr.evaluation.reporting.cells import not_measured, number
from cxr.evaluation.reporting.page_names import name_of, ordered
from cxr.evaluation.reporting.page_shortcuts import stamp_of
from cxr.evaluation.reporting.pieces import Piece
from cxr.evaluation.reporting.slugs import slug
from cxr.files import JsonObject

Pictures = Mapping[tuple[str, str], tuple[bytes, bytes]]

WORDS = (
    "Wrong answers the model was surest of, and for each class images of middling probability. Beside each image its "
    "Grad-CAM heat map for the answer given, stamped with what the map is worth."
)


def errors_section(report: JsonObject, pictures: Pictures) -> Section:
    """Galleries of all models, that of the screening model open."""
    folds = []
    for model in ordered(report["models"]):
        place = f"{slug(model['name'])}-gallery"
        folds.append(
            Fold(place, (name_of(model),), tuple(_galleries(model, place, pictures)), bool(model.get("screening")))
        )
    return Section("errors", "The surest errors, and examples", [Paragraph((WORDS,)), *folds])


def _galleries(model: JsonObject, place: str, pictures: Pictures) -> list[Block]:
    blocks: list[Block] = []
    for key, title in (("errors", "Surest errors"), ("examples", "Examples")):
        entries = model.get(key)
        blocks.append(Heading(f"{place}-{key}", title, 4))
        if entries is None:
            blocks.append(not_measured(title))
        elif entries:
            blocks.append(Gallery(tuple(_picture(model, entry, pictures) for entry in entries)))
        else:
            blocks.append(Paragraph(("None.",)))
    return blocks


def _picture(model: JsonObject, entry: JsonObject, pictures: Pictures) -> Picture:
    image, overlay = pictures.get((model["name"], entry["file"]), (b"", b""))
    probability: list[Piece] = ["probability ", *number(entry["probability"]).pieces]
    if entry.get("loss") is not None:
        probability += [", loss ", *number(entry["loss"], 2).pieces]
    right = entry["actual"] == entry["predicted"]
    answer = f"{entry['actual']}, recognised" if right else f"{entry['actual']} called {entry['predicted']}"
    return Picture(
        image or None,
        overlay or None,
        f"Chest radiograph {entry['file']}: {answer}",
        stamp_of(model),
        bool((model.get("cam") or {}).get("void")),
        ((answer,), tuple(probability), (entry["file"],)),
    )
