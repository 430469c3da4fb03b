"""What the gate rejects and flags: radiographs, radiographs that something was done to, and what is no radiograph.

    pip install scikit-image scikit-learn matplotlib nibabel nilearn dipy     (pictures of the held-out kinds)
    python benchmarks/gate.py release/models/gate data --split work/split.csv --others radiographs_of_other_hospitals

Of the radiographs those of the test split are asked about, or all where no table is given; of --others all, each
folder apart. Training has seen none of the held-out pictures, and no threshold is set by them; kinds that it draws too
are drawn in another way here. Caught is what is rejected or flagged. Nothing is fitted here.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path

import gate_films as films
import gate_pictures as pictures
import gate_solids as solids
import numpy as np
from PIL import Image

from cxr.core.errors import ImageError, Reason
from cxr.core.image import ImageFacts, Plane, to_plane
from cxr.dataset.audits.sources import auc_of
from cxr.evaluation.stats.intervals import NUMBER, wilson
from cxr.imaging.decode import decode, decode_bytes
from cxr.inference.gate import FLAGS, Gate, Sign, load_gate
from cxr.inference.gate import judge as judge_pictures
from cxr.training.gate_negatives import KINDS, draw_negatives

HELD_OUT: Mapping[str, Callable[[], Iterable[pictures.Picture]]] = {
    "photographs, colour": pictures.photographs,
    "photographs, grey": pictures.grey_photographs,
    "textures": pictures.textures,
    "microscopy": pictures.microscopy,
    "retinas": pictures.retinas,
    "skies": pictures.skies,
    "photographed pages": pictures.pages,
    "faces": pictures.faces,
    "digits": pictures.digits,
    "slices of a head": pictures.slices,
    "CT": pictures.ct_slices,
    "MR": pictures.mr_slices,
    "MR of brains": pictures.brains,
    "ultrasound": pictures.ultrasounds,
    **{f"{part}, of voxels": partial(solids.seen_through, part) for part in solids.PARTS},
    "slices, of voxels": solids.cut_through,
    "terrains": pictures.terrains,
    "charts": pictures.charts,
    "logos": pictures.logos,
    "drawn thoraxes": pictures.phantoms,
}
HELD_OUT_FILMS: Mapping[str, Callable[[list[pictures.Picture]], Iterable[pictures.Picture]]] = {
    "film on a table": films.films_on_a_table,
    "mosaics of unlike films": films.mosaics,
    "two films in one": films.overlaid,
}
LETTERS = "letters"  # text is among what training draws
Judged = tuple[Plane, ImageFacts]


@dataclass(frozen=True)
class Said:
    """What was said of n pictures of a kind.

    Attributes:
        signs: For each the reasons and signs, empty where nothing was seen.
        distances: float64 (n,), the last score.
    """

    signs: list[frozenset[str]]
    distances: np.ndarray

    def count(self, *names: str) -> int:
        """Return how many have one of the named, or any at all without names."""
        return sum(bool(signs & set(names)) if names else bool(signs) for signs in self.signs)

    @property
    def rejected(self) -> int:
        """How many get no answer."""
        return self.count(*Reason)


def judge(gate: Gate, judged: list[Judged]) -> Said:
    """Say what screening says of decoded pictures."""
    verdicts = judge_pictures({number: (facts, plane) for number, (plane, facts) in enumerate(judged)}, gate).values()
    marked = [frozenset(flag.value for flag in verdict.flags if flag in FLAGS) for verdict in verdicts]
    signs = [
        frozenset([one.reason.value]) if one.reason else flags for one, flags in zip(verdicts, marked, strict=True)
    ]
    return Said(signs, gate.scores(np.stack([plane for plane, _ in judged]))[:, -1])


def as_file(picture: pictures.Picture, side: int) -> Judged:
    """Store a picture as PNG and read it as screening does."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG")
    luminance, facts = decode_bytes(file.getvalue(), side)
    return to_plane(luminance, side), facts


def radiographs(folder: Path, split: Path | None, side: int) -> tuple[list[Judged], list[pictures.Picture]]:
    """Decode the radiographs: what the gate sees of them, and their luminance."""
    if split is None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and "masks" not in path.parts)
    else:
        with split.open(newline="") as file:
            paths = [folder / row["file"] for row in csv.DictReader(file) if row["split"] == "test"]
    judged, whole = [], []
    for path in paths:
        try:
            luminance, facts = decode(path, side)
        except ImageError:
            continue
        judged.append((to_plane(luminance, side), facts))
        whole.append(luminance)
    return judged, whole


def folders(whole: Path) -> list[Path]:
    return sorted(path for path in whole.iterdir() if path.is_dir())


def line(title: str, said: Said, known: Said, *signs: str) -> tuple[int, int]:
    """Print one kind; return how many were caught, of how many."""
    caught, n = said.count(*(*Reason, *signs) if signs else ()), len(said.signs)
    auc = auc_of(
        np.concatenate([known.distances, said.distances]), np.arange(len(known.distances) + n) >= len(known.distances)
    )
    names = sorted({name for signs in said.signs for name in signs}, key=lambda name: -said.count(name))
    most = ", ".join(f"{name} {said.count(name)}" for name in names[:4])
    print(f"  {title:26}{n:5}{said.rejected:6}{caught:6}  {share(caught, n)}   {auc:.3f}   {most}")
    return caught, n


def share(count: int, n: int) -> str:
    return NUMBER.interval(wilson(count, n))


def section(title: str, kinds: Mapping[str, list[Judged]], gate: Gate, known: Said) -> None:
    """Print the kinds of one section and their sum."""
    print(f"\n{title}\n  {'':26}    n  rej. caught {'share caught':20}   AUROC   most often")
    sums = [line(name, judge(gate, judged), known) for name, judged in kinds.items() if judged]
    caught, n = (sum(column) for column in zip(*sums, strict=True))
    print(f"  {'all':26}{n:5}{'':6}{caught:6}  {share(caught, n)}")


def held_out(whole: list[pictures.Picture], side: int) -> dict[str, list[Judged]]:
    """Collect the held-out kinds; name what is missing."""
    kinds: dict[str, list[Judged]] = {}
    for name, draw in HELD_OUT.items():
        try:
            kinds[name] = [as_file(picture, side) for picture in draw()]
        except pictures.MissingError as missing:
            print(f"not measured: {name}, for lack of the package {missing}")
    few = whole[:: max(len(whole) // 30, 1)]
    return kinds | {name: [as_file(p, side) for p in draw(few)] for name, draw in HELD_OUT_FILMS.items()}


def learned(whole: list[pictures.Picture], side: int) -> dict[str, list[Judged]]:
    """Draw the kinds that training draws, from other lots and from these radiographs."""
    planes = np.stack([to_plane(film, side) for film in whole])
    drawn, names = draw_negatives(12 * len(KINDS), planes, seed=1_000_003)
    kinds = {kind: [as_file(p, side) for p, name in zip(drawn, names, strict=True) if name == kind] for kind in KINDS}
    return kinds | {LETTERS: [as_file(page, side) for page in islice(pictures.letters_of_a_doctor(), 24)]}


def clocked(gate: Gate, planes: Plane) -> str:
    """Return the gate's time for one picture, in batches and alone: the best of five."""
    best = []
    for chosen in (planes[:200], planes[:1]):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            gate.scores(chosen)
            times.append((time.perf_counter() - start) / len(chosen) * 1000)
        best.append(min(times))
    return f"gate: {best[0]:.2f} ms a picture among 200, {best[1]:.2f} ms alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gate", type=Path, help="folder with gate.json, gate.xml and gate.bin")
    parser.add_argument("radiographs", type=Path, help="folder of frontal chest radiographs")
    parser.add_argument("--split", type=Path, help="table by the stage split; the test split is asked about")
    parser.add_argument("--others", type=Path, help="folder with a folder of frontal radiographs for each collection")
    options = parser.parse_args()
    gate = load_gate(options.gate)
    judged, whole = radiographs(options.radiographs, options.split, gate.plane_side)
    known, n = judge(gate, judged), len(judged)
    print(f"radiographs as they are: {n}; rejected {known.rejected}, {share(known.rejected, n)}")
    for name in dict.fromkeys((*Reason, *Sign, "underexposed", "overexposed")):
        if known.count(name):
            print(f"  {name:26}{known.count(name):5}  {share(known.count(name), n)}")
    print(
        f"  {'flagged, not rejected':26}{known.count() - known.rejected:5}  {share(known.count() - known.rejected, n)}"
    )
    print(f"\nthe same radiographs, changed\n  {'':26}    n  rej. caught rejected or with the sign AUROC   most often")
    if options.others:
        others = {folder.name: radiographs(folder, None, gate.plane_side)[0] for folder in folders(options.others)}
        section("radiographs of other hospitals, as they are", others, gate, known)
    rng = np.random.default_rng(9)
    for name, (change, signs) in films.DONE.items():
        line(name, judge(gate, [as_file(change(film, rng), gate.plane_side) for film in whole]), known, *signs)
    section("no radiographs, of kinds that training draws", learned(whole, gate.plane_side), gate, known)
    section("no radiographs, of kinds held out", held_out(whole, gate.plane_side), gate, known)
    print(f"\n{clocked(gate, np.stack([plane for plane, _ in judged]))}")


if __name__ == "__main__":
    main()
