"""What a process needs to screen as the one that it helps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.errors import ModelError
from cxr.model_folder import ScreeningModel, at_operating_point, load_model
from cxr.screening.fingerprint import Identified
from cxr.screening.schema import Schema
from cxr.screening.store import Root
from cxr.screening.work import Work

THREADS, PINNED = 1, False  # such a process is a core, and there are others on its machine


@dataclass(frozen=True, slots=True)
class Duty:
    """A run, as a helping process sees it.

    Attributes:
        whose: What tells the networks, and all that is applied to them, from others.
        points: The operating point in force of each; empty without decisions.
        root: Where the pictures lie.
        keywords: DICOM attributes to read.
        schema: Of the table.
    """

    whose: Sequence[str]
    points: Sequence[str]
    root: Root
    keywords: tuple[str, ...]
    schema: Schema

    def check(self, models: Sequence[Identified]) -> None:
        """Raise ModelError where `models` are others, because their files were replaced meanwhile."""
        if list(map(_digests, models)) != list(self.whose):
            raise ModelError("the networks were replaced while they were in use; run the same command again")


def duty_of(work: Work) -> Duty:
    """Return what helpers of a run have to do."""
    return Duty(
        whose=list(map(_digests, work.models)),
        points=[model.operating_point for model in work.models],
        root=work.asked.naming.root,
        keywords=work.keywords,
        schema=work.schema,
    )


def load_all(folders: Sequence[Path]) -> list[ScreeningModel]:
    """Load networks for a core. Raises ModelError where one cannot be loaded."""
    return [load_model(folder, THREADS, PINNED) for folder in folders]


def at_points(models: Sequence[ScreeningModel], points: Sequence[str]) -> list[ScreeningModel]:
    """Return networks at their operating points; where one is empty, the network has none."""
    return [at_operating_point(model, point) if point else model for model, point in zip(models, points, strict=True)]


def _digests(model: Identified) -> str:
    return f"{model.network_sha256} {model.description_sha256}"
