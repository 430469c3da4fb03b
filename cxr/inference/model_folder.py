"""The folder of an exported network and its description: training and `evaluate` write it, screening loads it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from cxr.core.errors import ModelError, UsageError
from cxr.core.files import JsonObject, copy_file, read_json, sha256_of
from cxr.core.process import limit_error
from cxr.imaging.decode import require_plane_rule
from cxr.inference.decisions import DECISIONS_FILE, Decisions, read_decisions
from cxr.inference.gate import GATE_FILES, Gate, gate_fingerprint, load_gate
from cxr.inference.lungs import LUNGS, LUNGS_FILE, LUNGS_FILES, Segmenter, load_lungs, lungs_fingerprint
from cxr.inference.network import (
    DESCRIPTION_FILE,
    NETWORK_FILE,
    ONE_RUN,
    Network,
    fingerprint,
    openvino_module,
)


def load_decisions(folder: Path, description: JsonObject) -> Decisions | None:
    """Read the decisions that the description in `folder` names; None where it names none.

    Raises:
        ModelError: They are absent, are others than the description names, or were fitted for another network.
    """
    path, named = folder / DECISIONS_FILE, description.get("decisions")
    if named is None:
        _refuse_unnamed([path])
        return None
    decisions = read_decisions(path)
    found, expected = sha256_of(path), named["sha256"]
    if found != expected:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., the description beside it names {expected[:12]}...; {ONE_RUN}"
        )
    if (decisions.network, list(decisions.classes)) != (description["network"]["sha256"], description["classes"]):
        raise ModelError(
            f"{path} was fitted for the network {decisions.network[:12]}... with the classes "
            f"{', '.join(decisions.classes)}, which is not the one in {folder}; {ONE_RUN}"
        )
    return decisions


def load_model_gate(folder: Path, description: JsonObject, threads: int = 0, pinned: bool = True) -> Gate | None:
    """Load the gate that the description in `folder` names; None where it names none.

    Raises:
        ModelError: Its files are absent, are others than the description names, or are there without being named.
    """
    expected = _digest_named(folder, description, "gate", GATE_FILES)
    if expected is None:
        return None
    gate = load_gate(folder, threads, pinned)
    _require_digest(folder, "gate", gate.sha256, expected)
    return gate


def load_model_lungs(folder: Path, description: JsonObject, threads: int = 0, pinned: bool = True) -> Segmenter | None:
    """Load the lung segmenter that the description in `folder` names; None where it names none.

    Raises:
        ModelError: As `load_model_gate`.
    """
    expected = _digest_named(folder, description, LUNGS, LUNGS_FILES)
    if expected is None:
        return None
    segmenter = load_lungs(folder, threads, pinned)
    _require_digest(folder, "lung segmenter", segmenter.sha256, expected)
    return segmenter


def _digest_named(folder: Path, description: JsonObject, key: str, files: Iterable[str]) -> str | None:
    named = description.get(key)
    if named is None:
        _refuse_unnamed([folder / name for name in files])
        return None
    return str(named["sha256"])


def _require_digest(folder: Path, what: str, found: str, expected: str) -> None:
    if found != expected:
        raise ModelError(
            f"{folder} holds a {what} with SHA-256 {found[:12]}..., its description names {expected[:12]}...; {ONE_RUN}"
        )


def copy_gate(source: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Copy the gate in `source` into a model folder and return the key of the description that names it."""
    for name in GATE_FILES:
        copy_file(source / name, folder / name)
    return {"gate": {"sha256": gate_fingerprint(folder)}}


def copy_lungs(source: Path, folder: Path) -> dict[str, JsonObject]:
    """Copy the lung segmenter in `source` into a model folder and return the key of the description that names it.

    Its figures on films held out stand there too, as far as it has any.
    """
    for name in LUNGS_FILES:
        copy_file(source / name, folder / name)
    held_out = read_json(folder / LUNGS_FILE).get("held_out", [])
    return {LUNGS: {"sha256": lungs_fingerprint(folder), "held_out": held_out}}


def _refuse_unnamed(paths: list[Path]) -> None:
    there = [path for path in paths if path.exists()]
    if there:
        raise ModelError(f"{there[0]} is there, but the description beside it does not name it; {ONE_RUN}")


REQUIRED_KEYS = ("name", "classes", "image_side", "data", "network")


@dataclass(frozen=True, slots=True, repr=False)
class ScreeningModel:
    """A network with its description.

    Attributes:
        folder: Where it was loaded from.
        description: The content of model.json.
        network: The compiled network.
        decisions: What is applied to its outputs; None where nothing was fitted for it.
        operating_point: Name of the one in force; empty without decisions.
        gate: What refuses or marks pictures before the network; None where it answers whatever it is given.
    """

    folder: Path
    description: JsonObject
    network: Network
    decisions: Decisions | None = None
    operating_point: str = ""
    gate: Gate | None = None

    def __repr__(self) -> str:
        """Return one line for notebooks; all fields together name every picture of the training."""
        decides = f", decides at {self.operating_point}" if self.operating_point else ""
        return f"<Model {self.identity}: {', '.join(self.classes)}{decides}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return tuple(self.description["classes"])

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the networks of an ensemble, in the order of `Screened.members`; empty for a single network."""
        return tuple(self.description.get("members") or ())

    @property
    def plane_side(self) -> int:
        """Side of the planes that `network` takes, in pixels."""
        return int(self.description["image_side"])

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the planes that network and gate take, in pixels; the network's first."""
        return (self.plane_side, *([self.gate.plane_side] if self.gate else []))

    @property
    def synthetic(self) -> bool:
        """Whether any drawn phantom was among the training data."""
        return int(self.description["data"]["synthetic_images"]) > 0

    @property
    def identity(self) -> str:
        """Name and the first twelve digits of the network's SHA-256, e.g. `cnn1-0a1b2c3d4e5f`."""
        return f"{self.description['name']}-{self.description['network']['sha256'][:12]}"

    @property
    def network_sha256(self) -> str:
        """SHA-256 over graph and weights, see `fingerprint`."""
        return str(self.description["network"]["sha256"])

    @property
    def description_sha256(self) -> str:
        """SHA-256 of model.json: classes, preprocessing and whatever else is applied to the network's outputs."""
        return sha256_of(self.folder / DESCRIPTION_FILE)


def load_model(folder: Path, threads: int = 0, pinned: bool = True) -> ScreeningModel:
    """Load a folder made by a train stage, by `evaluate` or shipped; see `cxr.inference.network.Network`.

    Raises:
        ModelError: A file is absent, the bytes of network, decisions or gate are not those that the description
            names, or it was made for planes of another rule.
    """
    description = describe_model(folder)
    require_plane_rule(folder, description)
    found = fingerprint(folder)
    if found != description["network"]["sha256"]:
        raise ModelError(
            f"{folder} holds a network with SHA-256 {found[:12]}..., but its {DESCRIPTION_FILE} describes "
            f"{description['network']['sha256'][:12]}...; {ONE_RUN}"
        )
    decisions = load_decisions(folder, description)
    point = decisions.default_point if decisions else ""
    network, gate = _compiled(folder, description, threads, pinned)
    model = ScreeningModel(folder, description, network, decisions, point, gate)
    if bool(model.members) != network.has_members:
        raise ModelError(
            f"the network in {folder} {'has' if network.has_members else 'lacks'} an output for members, but its "
            f"{DESCRIPTION_FILE} says otherwise; {ONE_RUN}"
        )
    return model


def _compiled(folder: Path, description: JsonObject, threads: int, pinned: bool) -> tuple[Network, Gate | None]:
    """Compile network and gate of a model folder, the one while the other is.

    Raises:
        ModelError, LimitError: As `Network` and `load_model_gate`.
    """
    openvino_module()  # before there are two threads
    try:
        with ThreadPoolExecutor(1) as beside:
            gate = beside.submit(load_model_gate, folder, description, threads, pinned)
            return Network(folder / NETWORK_FILE, threads, pinned), gate.result()
    except RuntimeError as error:
        if no_thread := limit_error(error, f"to load {folder}"):
            raise no_thread from error
        raise


def at_operating_point(model: ScreeningModel, name: str) -> ScreeningModel:
    """Return the model with another operating point in force. Raises UsageError where it has none of that name."""
    known = list(model.decisions.points) if model.decisions else []
    if name not in known:
        raise UsageError(
            f"{model.identity} has no operating point '{name}'; expected {' or '.join(known)}"
            if known
            else f"{model.identity} has no decisions, so no operating point '{name}'; leave the option out"
        )
    return replace(model, operating_point=name)


def describe_model(folder: Path) -> JsonObject:
    """Read the description alone, without loading the network. Raises ModelError where it is absent or incomplete."""
    expected = "expected a folder written by a train stage or by evaluate, such as models/screening"
    try:
        description = read_json(folder / DESCRIPTION_FILE)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} is not a model folder ({DESCRIPTION_FILE} cannot be read); {expected}") from error
    missing = [key for key in REQUIRED_KEYS if key not in description]
    if missing:
        raise ModelError(f"{folder / DESCRIPTION_FILE} lacks {', '.join(missing)}; {expected}")
    return description


def learnt_images(description: JsonObject) -> int:
    """Return how many images a network was trained on: those that its `in_training_set` knows.

    A last layer that learnt from films elsewhere has learnt from validation, too; see `cxr.training.last_layer`.

    Args:
        description: Content of its model.json.
    """
    splits = description["data"]["images_per_split"]
    films = (description.get("elsewhere") or {}).get("films")
    if films is None:
        return int(splits["train"])
    return int(splits["train"] + splits["validation"]) + sum(sum(labels.values()) for labels in films.values())


VALIDATION = "validation"


def decided_on(description: JsonObject) -> str:
    """Return on what a model's decisions are fitted, in words.

    Of a network whose last layer learnt from validation too, its answers there are of folds that did not; and those
    about other hospitals' films are of layers that learnt from no film of that hospital.

    Args:
        description: Content of its model.json.
    """
    elsewhere = (description.get("elsewhere") or {}).get("films")
    return f"{VALIDATION} and films of other hospitals" if elsewhere else VALIDATION


def packaged_folder() -> Path:
    """Return the folder of the model that ships in the package."""
    return Path(__file__).parents[1] / "packaged"


SHIPPED = "packaged"  # name of what ships; a folder in the working directory that is called so is ./packaged


def named_folder(text: str) -> Path:
    """Return the folder of the model that `text` names: what ships, or a path."""
    return packaged_folder() if text == SHIPPED else Path(text)
