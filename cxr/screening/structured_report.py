"""`--dicom-sr`: a DICOM object for each answered film that is DICOM itself, marked as research and unverified.

Each is an Enhanced SR after TID 1500, the template that viewers and archives read measurements from. It says of patient
and study what the film says, and nothing where that says nothing; a picture of another format has no patient, and so no
object.
"""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxr import __version__
from cxr.core.errors import ImageError, UsageError
from cxr.core.files import make_folder, write_bytes
from cxr.core.records import as_json
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Run
from cxr.screening.read import prefetch, read_again
from cxr.screening.schema import ModelColumns, Schema, Status
from cxr.screening.storage import store_of
from cxr.screening.summary import RESEARCH
from cxr.screening.tables import OutputFiles, read_table

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, EnhancedSR, MeasurementsAndQualitativeEvaluations
    from pydicom import Dataset

Record = Mapping[str, str]

NO_DICOM = "no DICOM: only a DICOM film says of whom it is"
NO_ANSWER = "it has no answer"
_SCHEME = "99CXRBATCH"
_SERIES = 9900  # their number in a study, far from those of the films
_AHEAD = 8  # films that are read before their objects are written
# Type 2 of the Patient and General Study modules: present, and empty where the film has nothing.
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_UIDS = {
    "SOPClassUID": "SOP Class UID",
    "SOPInstanceUID": "SOP Instance UID",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
}


@dataclass(frozen=True, slots=True)
class Reported:
    """What came of it.

    Attributes:
        written: Number of objects.
        there: How many more were there before.
        without: Why other rows have none, said of one of them, and how many.
    """

    written: int
    there: int
    without: Counter[str]


def check_highdicom() -> None:
    """Raise UsageError where the package that makes the objects is not installed."""
    try:
        import highdicom.sr  # noqa: F401
    except ImportError as error:
        raise UsageError("--dicom-sr needs the extra 'sr': pip install '.[sr]'") from error


def write_reports(folder: Path, work: Run, files: OutputFiles) -> Reported:
    """Write one object for each answered row of a DICOM film; those that are there stay, so that a call goes on.

    Args:
        folder: Made where it is absent. The objects have names of the film's SOP Instance UID.
        work: The finished run.
        files: Its table.

    Raises:
        OutputError: The folder cannot be written.
    """
    make_folder(folder)
    candidates = {one.cell: one for one in work.selection.candidates}
    written = there = 0
    without, films = Counter[str](), set[str]()
    records = list(read_table(files.results, work.format, work.schema.columns))
    answered = [record for record in records if record["status"] == Status.OK]
    without[NO_ANSWER] = len(records) - len(answered)
    dicom = [(record, candidates[record["path"]]) for record in answered if record["format"] == "DICOM"]
    without[NO_DICOM] = len(answered) - len(dicom)
    workers = work.workers or store_of(work.request.naming.root).workers
    for record, film in prefetch(partial(_film, work=work), dicom, workers, _AHEAD):
        if isinstance(film, str):
            without[film] += 1
            continue
        if film.SOPInstanceUID in films:
            without["another file has the same SOP Instance UID"] += 1
            continue
        films.add(film.SOPInstanceUID)
        target = folder / f"SR.{film.SOPInstanceUID}.{_fingerprint(work.schema, record)[:8]}.dcm"
        if target.exists():
            there += 1
            continue
        try:
            content = _bytes_of(_report(film, record, work.schema))
        except Exception:  # what a header holds may be anything; one film must not cost the others their objects
            without["its header cannot be carried over"] += 1
            continue
        write_bytes(target, content)
        written += 1
    return Reported(written, there, +without)


def _film(one: tuple[Record, Candidate], work: Run) -> "tuple[Record, Dataset | str]":
    """Return the header of a film, or why there is none that an object could refer to."""
    from pydicom import dcmread

    record, candidate = one
    try:
        data = read_again(candidate, work.request.naming.root, record["sha256"])
        film = dcmread(BytesIO(data), stop_before_pixels=True, force=True)
        if fault := _fault(film):
            return record, fault
    except ImageError as error:
        return record, error.detail
    except Exception:  # pydicom raises almost anything
        return record, "its header cannot be read"
    for name in _MAY_BE_EMPTY:
        if name not in film:
            setattr(film, name, "")
    return record, film


def _fault(film: "Dataset") -> str:
    """Say of the first UID by which no object could refer to a film what is wrong with it; empty where all are right.

    What a malformed one says is not repeated: it may be anything.
    """
    from pydicom.uid import UID

    for keyword, words in _UIDS.items():
        value = film.get(keyword)
        if not value:
            return f"its header has no {words}"
        if not (isinstance(value, UID) and value.is_valid):
            return f"the {words} in its header is malformed"
    return ""


def _fingerprint(schema: Schema, record: Record) -> str:
    """Return a digest of all that an object depends on beside the film's header: file, networks, gate, version."""
    said = [__version__, record["sha256"], [as_json(head.record) for head in schema.heads], as_json(schema.gate)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _uid(*parts: str) -> str:
    """Return a UID that the parts alone give: that of a name-based UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(('cxr-batch', *parts))).int}"


def _report(film: "Dataset", record: Record, schema: Schema) -> "EnhancedSR":
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes

    first, fingerprint = schema.heads[0], _fingerprint(schema, record)
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=_uid("device", first.record.sha256),
        name="cxr-batch",
        manufacturer_name="cxr-batch",
        model_name=first.identity,
        serial_number=first.record.sha256,
    )
    observer = sr.ObserverContext(codes.DCM.Device, device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=sr.CodedConcept("30745-4", "LN", "XR Chest Views"),
        imaging_measurements=[_group(film, record, head, schema) for head in schema.heads],
    )
    return sr.EnhancedSR(
        evidence=[film],
        content=content,
        series_instance_uid=_uid("series", film.StudyInstanceUID, first.record.sha256),
        series_number=_SERIES,
        sop_instance_uid=_uid("report", film.SOPInstanceUID, fingerprint),
        instance_number=max(int(film.get("InstanceNumber") or 1), 1),
        series_description="RESEARCH, UNVERIFIED: cxr-batch",
        manufacturer="cxr-batch",
        manufacturer_model_name=first.identity,
        software_versions=__version__,
        device_serial_number=first.record.sha256,
        is_complete=True,
        is_final=False,
        is_verified=False,
        specific_character_set="ISO_IR 192",
        coding_schemes=[CodingSchemeIdentificationItem(_SCHEME, name="Words of cxr-batch, docs/results-csv.md")],
    )


def _group(
    film: "Dataset", record: Record, head: ModelColumns, schema: Schema
) -> "MeasurementsAndQualitativeEvaluations":
    """Return what one network says of a film."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    facts = {"weights SHA-256": head.record.sha256, "use": RESEARCH}
    if head.applied:
        facts["decides at"] = f"{head.applied.operating_point}: {head.applied.target} from {head.applied.threshold:.6f}"
        facts["decisions SHA-256"] = head.applied.sha256
    if schema.gate:
        facts["gate SHA-256"] = schema.gate.sha256
    said = {
        name: record[f"{head.prefix}{name}"]
        for name in ("prediction", "decision", "refer_reason", "prediction_set", "in_training_set")
    } | {"flags": record["flags"]}
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=_uid("answer", film.SOPInstanceUID, head.record.sha256), identifier=head.identity
        ),
        algorithm_id=sr.AlgorithmIdentification(
            name=head.identity, version=__version__, parameters=[f"{name}: {value}" for name, value in facts.items()]
        ),
        measurements=[
            sr.Measurement(
                _coded(f"probability_{name}"), float(record[f"{head.prefix}probability_{name}"]), codes.UCUM.NoUnits
            )
            for name in head.classes
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(_coded(name), _coded(word))
            for name, words in said.items()
            for word in words.split()
        ],
        source_images=[sr.SourceImageForMeasurementGroup(film.SOPClassUID, film.SOPInstanceUID)],
    )


def _coded(word: str) -> "CodedConcept":
    """Return a word of the table as a private code; the meaning is for people, of at most 64 characters."""
    from highdicom.sr import CodedConcept

    return CodedConcept(word, _SCHEME, word.replace("_", " ")[:64])


def _bytes_of(report: "EnhancedSR") -> bytes:
    buffer = BytesIO()
    report.save_as(buffer)
    return buffer.getvalue()
