"""A DICOM header: its elements as numbers and text, and what it says was pictured.

What is empty is as absent, and text where a number belongs is refused. Another modality than radiography, or another
part of the body than the chest, is told by whole words in English, German, French, Spanish, Italian, Portuguese and
Dutch, which devices are set to; a word that is not known says nothing. The Defined Terms are those of PS3.3 C.7.3.1.1.1
(Modality) and of PS3.16, CID 4031 and Annex L (Body Part Examined); the others are what protocols are called.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cxr.core.errors import ImageError, Reason

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


# Decimal and Integer Strings (PS3.5, 6.2), and what numbers of other representations read like.
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
LONGEST_QUOTE = 40  # characters: a value of 16 is quoted whole, a page of them is not


def text(dataset: "Dataset", keyword: str) -> str:
    """Return the first value of an element as text without outer spaces; empty where it is absent or empty."""
    value = dataset.get(keyword)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        value = value[0] if len(value) else None
    if isinstance(value, bytes):  # of another value representation than the element has
        value = value.decode("latin-1")
    return "" if value is None else str(value).strip(" \0")


def number(dataset: "Dataset", keyword: str) -> float | None:
    """Return the first value of an element; None where it is absent or empty.

    Raises:
        ImageError: It is no finite number; the detail quotes it.
    """
    found = text(dataset, keyword)
    if not found:
        return None
    value = float(found) if DECIMAL.fullmatch(found) else np.nan
    if not np.isfinite(value):
        raise ImageError(Reason.UNSUPPORTED, f"{keyword} is {found[:LONGEST_QUOTE]!r}; expected a number")
    return value


def integer(dataset: "Dataset", keyword: str, default: int | None = None) -> int:
    """Return the first value of an element, or `default` where it is absent or empty.

    Raises:
        ImageError: It is no integer, or absent and there is no default.
    """
    value = number(dataset, keyword)
    if value is None:
        if default is None:
            raise ImageError(Reason.UNREADABLE, f"{keyword} is absent or empty")
        return default
    if not value.is_integer():
        raise ImageError(Reason.UNSUPPORTED, f"{keyword} is {value:g}; expected an integer")
    return int(value)


def first_item(dataset: "Dataset", keyword: str, *elements: str) -> "Dataset | None":
    """Return the first item of a sequence; None where it has none, or none of `elements`."""
    sequence: Any = dataset.get(keyword)
    if not sequence or not hasattr(sequence[0], "get"):
        return None
    item: Dataset = sequence[0]
    return item if any(element in item and not item[element].is_empty for element in elements) else None


# Why a header alone rejects its file; another try gives the same.
HEADER_REASONS = frozenset({Reason.OTHER_MODALITY, Reason.OTHER_BODY_PART})

# DR is no Defined Term, but what many detectors write. OT (other) is none of these: converters write it of screenshots,
# letters and photographs as well as of films.
RADIOGRAPHY = ("CR", "DX", "DR", "RG")
# PS3.4 B.5: CR; DX for presentation and for processing; Secondary Capture, which does not say what was captured.
RADIOGRAPHS = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{last}" for last in ["1", "1.1", "1.1.1", "7", "7.1", "7.2", "7.3", "7.4"]
)
QUOTABLE = re.compile(r"[A-Z0-9_]{1,16}")  # a Code String (PS3.5, 6.2) without blanks: no sentence, no full name

# Asked in this order, from the picture to what was ordered, codes first: the first that names a part decides.
CODED = ("AnatomicRegionSequence", "BodyPartExamined")
DESCRIPTIONS = (
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
    "StudyDescription",
)


def check_header(header: "Dataset") -> None:
    """Refuse an object whose header says that it is no radiograph of the chest; silence is no reason.

    The detail quotes the element and the word that decides, one of a vocabulary, and nothing else of the header.

    Raises:
        ImageError: With one of `HEADER_REASONS`.
    """
    _check_modality(header)
    for keyword, said in _statements(header):
        part = named_part(said, coded=keyword in CODED)
        if part is not None and part.is_chest:
            return
        if part is not None:
            raise ImageError(
                Reason.OTHER_BODY_PART, f"{_element(keyword)} says {part.word}; expected a radiograph of the chest"
            )


def _check_modality(header: "Dataset") -> None:
    modality = text(header, "Modality").upper()
    if len(modality) > 1 and modality not in RADIOGRAPHY:  # a single letter is what a broken copy left
        said = modality if QUOTABLE.fullmatch(modality) else "no term of DICOM"
        raise ImageError(Reason.OTHER_MODALITY, f"{_element('Modality')} is {said}; expected {', '.join(RADIOGRAPHY)}")
    kind = class_of(header)
    name = _class_name(kind)
    if name and kind not in RADIOGRAPHS:
        raise ImageError(
            Reason.OTHER_MODALITY, f"{_element('SOPClassUID')} is {name}; expected that of a radiograph (CR, DX, SC)"
        )


def class_of(header: "Dataset") -> str:
    """Return the UID of an object's class, as the object or its file says; empty where neither does."""
    return text(header, "SOPClassUID") or text(header.file_meta, "MediaStorageSOPClassUID")


def _class_name(kind: str) -> str:
    """Return the name of a class that DICOM defines; empty for others."""
    from pydicom.uid import UID

    name = UID(kind).name
    return "" if name == kind else name


def _element(keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword) or 0
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _statements(header: "Dataset") -> Iterator[tuple[str, str]]:
    """Give keyword and text of each element that may name a part of the body, in the order of their weight."""
    for region in _items(header, "AnatomicRegionSequence"):
        yield "AnatomicRegionSequence", _values(region, "CodeMeaning")
        yield "AnatomicRegionSequence", _meaning(text(region, "CodeValue"))
    requests = _items(header, "RequestAttributesSequence")
    for keyword in ("BodyPartExamined", *DESCRIPTIONS):
        for place in (header, *requests):
            yield keyword, _values(place, keyword)


def _items(header: "Dataset", keyword: str) -> list["Dataset"]:
    try:
        return [item for item in header.get(keyword) or () if hasattr(item, "get")]
    except Exception:  # as in `_values`
        return []


def _values(place: "Dataset", keyword: str) -> str:
    """Return all values of an element; empty where it is absent, or no text."""
    try:
        value: Any = place.get(keyword)
        return " ".join([value] if isinstance(value, str) else [one for one in value or () if isinstance(one, str)])
    except Exception:  # pydicom raises anything on hostile bytes: an odd note must not cost the picture
        return ""


def _meaning(code: str) -> str:
    """Return what a code of CID 4031 means, in SNOMED CT or the older SNOMED-RT; empty where it is none."""
    if not code:
        return ""
    from pydicom.sr.codedict import codes  # takes a second, for objects alone whose code has no meaning that is known
    from pydicom.sr.coding import Code

    spelt = [Code(code, scheme, "") for scheme in ("SCT", "SRT")]
    regions = (getattr(codes.cid4031, name) for name in codes.cid4031.dir())
    return next((region.meaning for region in regions if region in spelt), "")


class Part(NamedTuple):
    """A part of the body that a text names, by which of its words."""

    word: str
    is_chest: bool


def named_part(said: str, *, coded: bool = False) -> Part | None:
    """Return the part of the body that a text names; the chest where it is among several, None where there is none.

    Args:
        said: The value of an element, in any case.
        coded: Whether it is a code and no sentence: then words count that mean other things in sentences, such as
            French `main`, hand.
    """
    sentence = " ".join(_words(said))
    words = _IDIOMS.sub(" ", sentence).split()
    of_spine = any(_in(SPINE, word) for word in words)  # the thoracic spine, in any language, is not the chest
    chest = [word for word in words if _in(CHEST, word) or "THORAX" in word or "TORAX" in word]
    chest += [word for word in words if word in THORACIC and not of_spine]
    if chest:
        return Part(chest[0], is_chest=True)
    others = [word for word in words if _in(OTHER, word) or (coded and word in OTHER_IF_CODED)]
    others += _PHRASES.findall(sentence)
    return Part(others[0], is_chest=False) if others else None


def _words(said: str) -> list[str]:
    """Return the words and numbers of a text in capitals without accents; `ChestPA` has two, `HAND2V` three."""
    letters = unicodedata.normalize("NFKD", _repaired(said))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.findall(
        r"[^\W\d_]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold().replace("œ", "oe").upper()
    )


def _repaired(said: str) -> str:
    """Return a text as it was meant that was written in UTF-8 where another character set is declared."""
    try:
        return said.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return said


# What is written to a name without a blank: sides and views; in German and Dutch, what is done with the part.
_AFFIXED = re.compile(
    r"(?:PORT|XR|LT|RT|AP|PA)?(\w+?)"
    r"(?:S|AP|PA|LAT|LL|PORT|GELENK|AUFNAHME|UBERSICHT|UEBERSICHT|SKELETT|GEWRICHT|OVERZICHT|FOTO)?"
)


def _in(vocabulary: frozenset[str], word: str) -> bool:
    if word in vocabulary:
        return True
    core = _AFFIXED.fullmatch(word)
    return core is not None and core[1] in vocabulary


_TRANSCRIBED = {"ä": "ae", "ö": "oe", "ü": "ue"}


def _vocabulary(spelt: str) -> frozenset[str]:
    """Return words as `_words` gives them, those with an umlaut in both of its spellings."""
    return frozenset(_words(spelt) + _words(re.sub("[äöü]", lambda umlaut: _TRANSCRIBED[umlaut[0]], spelt)))


# Languages follow each other as above, a line or two each. A film of the ribs or the sternum is one of the chest here:
# whether the networks can answer it is the gate's to say.
CHEST = _vocabulary("""
    chest chst cxr pcxr lung rib ribcage sternum heart cardiac mediastinum bronchus bronchi pleura
    chestabdomen chestabdpelvis neckchest neckchestabdomen neckchestabdpelv
    lunge lungen bettlunge brustkorb brustbein rippe rippen herz
    poitrine poumon côte gril grill coeur
    pecho pulmón pulmones costilla parrilla costal esternón corazón
    petto torace emitorace polmone polmoni coste costale sterno cuore
    peito pulmão pulmões costela costais esterno coração
    borstkas borstbeen longen ribben hart
""")
THORACIC = _vocabulary("""
    thoracic thorakal thorakale thoracique thoraciques torácico torácica toraciche thoracaal thoracale
""")
SPINE = _vocabulary("""
    spine spinal vertebra vertebrae vertebral cspine tspine lspine ctspine tlspine lsspine sspine wholespine
    wirbelsäule wirbel halswirbelsäule brustwirbelsäule lendenwirbelsäule
    rachis colonne vertèbre vertébrale columna rachide colonna vertebre coluna wervelkolom wervel
""")
_SPINE_AND_PELVIS = """
    lumbar lumb cervical cerv lumbosacral thoracolumbar dorsolumbar cervicothoracic sacrum sacral sacroiliac sijoint
    coccyx scoliosis pelvis pelvic pelv hip hipjoint ilium acetabulum
    hws bws lws hwk bwk lwk kreuzbein steißbein iliosakralgelenk isg skoliose becken hüfte hüften hüft hüftgelenk
    lombaire scoliose bassin hanche
    lumbares lumbosacra cervicales sacro cóccix coxis escoliosis cadera
    lombare lombosacrale cervicale scoliosi coccige bacino
    lombar lombossacra escoliose bacia quadril
    lumbale lumbaal cwk twk heiligbeen stuitbeen bekken heup
"""
_HEAD_AND_NECK = """
    head headneck skull cranium cranial brain neck facial jaw mandible maxilla orbit orbital optic opticcanal eye ear
    iac auditory sinus sinuses paranasal nose nasal mastoid zygoma zygomatic sella tmj temporomandibular larynx parotid
    submandibular dental tooth teeth panorex panoramic opg orthopantomogram cephalogram thyroid
    kopf schädel gehirn hals gesicht kiefer unterkiefer oberkiefer auge nase nasenbein nasennebenhöhlen nnh jochbein
    zahn zähne gebiss mandibula orthopantomogramm
    tête crâne cerveau cou mâchoire mandibule maxillaire oeil nez dents dentaire panoramique orbite
    cabeza cráneo cerebro cuello mandíbula maxilar ojo nariz paranasales cavum dientes órbita ortopantomografía
    testa cranio cervello collo mandibola mascella occhio naso nasali denti dentarie ortopantomografia
    cabeça crânio pescoço olho paranasais dentes panorâmica
    hoofd schedel hersenen kaak oog neus neusbijholten tand tanden gebit
"""
_ARM = """
    shoulder shldr clavicle clavicula clavicular scapula acjoint acromioclavicular humerus arm upperarm upperlimb elbow
    forearm radius ulna wrist carpal scaphoid hand metacarpal metacarpus finger digit thumb
    schulter schlüsselbein schulterblatt oberarm ellenbogen ellbogen unterarm handgelenk handwurzel kahnbein mittelhand
    hände daumen knochenalter
    épaule clavicule omoplate humérus bras coude avantbras poignet mains doigt pouce
    hombro clavícula escápula húmero brazo codo antebrazo muñeca mano dedo pulgar
    spalla clavicola scapola omero braccio gomito avambraccio polso dito dita pollice
    ombro úmero braço cotovelo antebraço punho mãos polegar
    schouder sleutelbeen schouderblad bovenarm elleboog onderarm pols vinger duim
"""
_LEG = """
    femur thigh knee patella leg longleg lowerleg lowerlimb tibia tib fibula tibfib tibiafibula ankle foot feet heel
    forefoot midfoot hindfoot calcaneus calcaneum tarsal tarsus metatarsal toe sesamoid extremity extremities
    upperextremity lowerextremity extrm uextrm lextrm limb pelvislowextremt exm
    oberschenkel knie kniescheibe bein beine ganzbein unterschenkel schienbein wadenbein sprunggelenk osg knöchel fuß
    füße vorfuß mittelfuß rückfuß ferse fersenbein zehe zehen großzehe extremität extremitäten
    fémur cuisse genou genoux rotule jambe cheville pied avantpied talon orteil extrémité pangonogramme
    muslo rodilla rótula pierna tobillo pie pies antepié talón ortejo extremidad extremidades
    femore coscia ginocchio ginocchia gamba caviglia piede piedi tallone calcagno alluce estremità arto
    fêmur coxa joelho perna tornozelo pés calcâneo extremidade
    dijbeen bovenbeen knieschijf onderbeen enkel voet voeten voorvoet middenvoet hiel hielbeen
"""
_ABDOMEN_AND_BREAST = """
    abdomen abdominal abdo abd abdomenpelvis kub kidney renal bladder ureter urethra urinary uprurinarytract urogram
    urography ivp ivu ugi stomach enema bowel colon intestine intestinal smallintestine largeintestine duodenum jejunum
    ileum rectum anus esophagus oesophagus liver gallbladder bile biliary bileduct biliarytract commonbileduct
    pancbileduct pancreas pancreatic pancreaticduct spleen prostate uterus fallopian breast mammo mammogram mammography
    bauch niere nieren harnblase magen darm dünndarm dickdarm leber gallenblase speiseröhre mamma mammographie
    asp ventre vessie uiv estomac intestin foie oesophage
    riñón riñones vejiga estómago hígado esófago mama mamas mamografía
    addome addominale reni vescica stomaco fegato esofago mammella mammografia
    abdome rins bexiga estômago fígado esôfago
    buik boz blaas maag darmen slokdarm mammografie
"""
OTHER = SPINE | _vocabulary(_SPINE_AND_PELVIS + _HEAD_AND_NECK + _ARM + _LEG + _ABDOMEN_AND_BREAST)
# Hand, hip, foot, face and back, which mean other things too: only in a code, or, as below, beside an article or side.
# The age of bones is read from a hand.
OTHER_IF_CODED = _vocabulary("back face main anca pé mão seno")
_PHRASES = re.compile(
    r"\b(?:MAIN (?:DROITE|GAUCHE|DTE|GCHE|D|G|FACE|PROFIL)|(?:LA|RX) MAIN|ANCA (?:DX|SX|DESTRA|SINISTRA|BILATERALE)"
    r"|(?:PE|MAO) (?:DIREIT[AO]|ESQUERD[AO])|FACE BONES?|SEIOS DA FACE|(?:AC|SI|TM) JOINTS?"
    r"|BONE AGE|AGE OSSEUX|EDAD OSEA|ETA OSSEA|IDADE OSSEA)\b"
)
# What names a part and means none: a device, a distance, how somebody stands or lies, a hospital.
_IDIOMS = re.compile(
    r"\b(?:C ARM|HAND (?:HELD|CARRIED)|HANDS ON HIPS|ARMS? (?:UP|DOWN|RAISED|ABOVE|OVER)"
    r"|HEAD (?:UP|DOWN|OF|END|ELEVATED)|(?:HEAD|FEET) FIRST|\d+ FOOT|(?:A|AU|DE|EN) (?:PIE|PIED)|IN PIEDI"
    r"|(?:SACRED|HOLY) HEART|SACRE COEUR|SACRO CUORE|SAGRADO CORA(?:ZON|CAO)"
    r"|HEART (?:CENTER|CENTRE|HOSPITAL|INSTITUTE))\b"
)
