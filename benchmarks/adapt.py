"""What `cxr-model adapt` gives at hospitals that a model never saw.

    python benchmarks/adapt.py CLONE [--films 20 100] [--draws 200]

CLONE has run `dvc repro release/dvc.yaml` with films of other hospitals. Each of them is asked about by a last layer
that learnt from no film of it. In each draw its normal films are dealt into those that adapt is given and the rest,
which are judged before and after. Cases are all hospitals' films of the target, each asked of the layer without its own
hospital and moved as far as the layer without the adapted one was.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cxr.core.manifest import MANIFEST_FILE, planes_of_side, read_table
from cxr.evaluation.candidates import judge_images
from cxr.evaluation.unseen import HELD_OUT, held_out
from cxr.inference.decisions import Decisions, decision_words
from cxr.inference.gate import Judged
from cxr.inference.model_folder import ScreeningModel, load_model, named_folder
from cxr.inference.outputs import SavedOutputs, apply_decisions
from cxr.validation.adapt import Known, SiteFilms, adapt, moved_decisions

LABEL = "normal"
FEWEST_JUDGED = 10
HEADER = "| hospital | given | judged | called {0} | suspected | referred | cases called {0} | cases suspected |"


@dataclass(frozen=True)
class Site:
    """Answers about one hospital's films by the layer without it, and what that layer decides by."""

    decisions: Decisions
    outputs: SavedOutputs
    judged: Judged

    def of(self, label: str) -> "Site":
        """Return the films of one class that the gate lets pass."""
        return self.where((self.outputs.truth == self.outputs.classes.index(label)) & ~self.judged.rejected)

    def where(self, chosen: NDArray[np.bool_]) -> "Site":
        return replace(self, outputs=self.outputs.where(chosen), judged=self.judged.where(chosen))

    def films(self) -> SiteFilms:
        return SiteFilms(self.outputs.logits, None, self.judged.raised, self.outputs.files.tolist())

    def moved(self, offset: float, minimum: float | None = None) -> "Site":
        return replace(self, decisions=moved_decisions(self.decisions, offset, LABEL, minimum))

    def shares(self) -> list[float]:
        """Return the shares of films that are called the target, suspected and referred."""
        decisions, target = self.decisions, self.decisions.classes.index(self.decisions.target)
        called = decisions.probabilities(self.outputs.logits).argmax(axis=1) == target
        words = [one.word for one in apply_decisions(self.outputs, decisions, self.judged) if one]
        suspected, _, refer = decision_words(decisions.target)
        return [float(called.mean()), words.count(suspected) / len(words), words.count(refer) / len(words)]


def read_sites(clone: Path, model: ScreeningModel) -> dict[str, Site]:
    """Read what the stage last_layer says of each hospital without it, and fit decisions as `evaluate` does."""
    prepared = clone / "work/prepared"
    answers = pd.read_csv(clone / "release/last_layer.csv", keep_default_na=False)
    manifest = read_table(prepared / MANIFEST_FILE)
    asked = manifest[manifest["file"].isin(answers.loc[answers["split"] == HELD_OUT, "file"])]
    judged = judge_images(model.gate, asked, planes_of_side(prepared, model.gate.plane_side))
    verdicts = {file: number for number, file in enumerate(asked["file"])}
    sites = {}
    for hospital, part in answers.groupby("held_out"):
        own = model.decisions
        held, decisions, seen = held_out(part, verdicts, judged, model.classes, own.target, own.alpha)
        sites[str(hospital)] = Site(decisions, held, seen)
    return sites


def drawn(site: Site, cases: list[Site], model: ScreeningModel, given: int, generator: np.random.Generator):
    """Deal the films once; return shares of the rest before and after, and of the cases before and after."""
    chosen = np.isin(np.arange(len(site.outputs)), generator.permutation(len(site.outputs))[:given])
    adapted = adapt(replace(model, decisions=site.decisions), site.where(chosen).films(), Known("site", LABEL))
    rest, moved = site.where(~chosen), site.where(~chosen).moved(adapted.offset, adapted.minimum_after)
    return [rest.shares(), moved.shares(), pooled(cases, 0.0), pooled(cases, adapted.offset)]


def pooled(cases: list[Site], offset: float) -> list[float]:
    """Return the shares of all cases together, with the target's logit moved by the offset."""
    moved = [one.moved(offset) for one in cases]
    return np.average([one.shares() for one in moved], axis=0, weights=[len(one.outputs) for one in moved]).tolist()


def rows(clone: Path, model: ScreeningModel, numbers: list[int], draws: int):
    """Yield a row of the table for each hospital and number of films given, before and after."""
    sites = read_sites(clone, model)
    cases = [own for own in (site.of(model.decisions.target) for site in sites.values()) if len(own.outputs)]
    for hospital, whole in sites.items():
        site = whole.of(LABEL)
        for given in (number for number in numbers if len(site.outputs) >= number + FEWEST_JUDGED):
            generator = np.random.default_rng(given)
            found = np.array([drawn(site, cases, model, given, generator) for _ in range(draws)])
            judged = len(site.outputs) - given
            yield f"| {hospital} | none | {judged} | {cells(found[:, 0])} | {cells(found[:, 2, :2])} |"
            yield f"| | {given} | {judged} | {cells(found[:, 1])} | {cells(found[:, 3, :2])} |"


def cells(found: NDArray[np.float64]) -> str:
    """Return the mean of each column over the draws, and within what nine draws in ten lie."""
    low, high = np.quantile(found, (0.05, 0.95), axis=0)
    means = found.mean(axis=0)
    return " | ".join(f"{mean:.3f} [{a:.3f}, {b:.3f}]" for mean, a, b in zip(means, low, high, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--films", type=int, nargs="+", default=[20, 100], help="given to adapt")
    parser.add_argument("--draws", type=int, default=200)
    arguments = parser.parse_args()
    model = load_model(named_folder("packaged"))
    print(HEADER.format(model.decisions.target), "|---|---|---|---|---|---|---|---|", sep="\n")
    for row in rows(arguments.clone, model, arguments.films, arguments.draws):
        print(row, flush=True)


if __name__ == "__main__":
    main()
