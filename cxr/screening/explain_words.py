"""What is printed into an explanation: whose it is, what was answered, and what the map was found to be worth."""

from collections.abc import Mapping
from typing import Any

from cxr.files import JsonObject

MEANING = "this is where the score comes from, not where disease is"
RESEARCH = "For research; not a medical device."


def stamp_lines(record: Mapping[str, str], worth: str, *, blank: bool) -> list[str]:
    """Return the lines below a picture.

    Args:
        record: The row; its path is a digest where names are hashed.
        worth: From `worth_of`.
        blank: Whether the map is nought everywhere.
    """
    decision = f"; decision: {record['decision']}" if record["decision"] else "; no decision"
    because = f" ({record['refer_reason']})" if record["refer_reason"] else ""
    nothing = [f"The map is blank: no part of the picture speaks for {record['prediction']}."] if blank else []
    return [
        f"file: {record['path']}",
        f"model: {record['model']}; {record['prediction']} {float(record['confidence']):.3f}{decision}{because}",
        *nothing,
        worth,
        RESEARCH,
    ]


def worth_of(description: JsonObject) -> str:
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
