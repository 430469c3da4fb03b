"""When two words of people are one, whatever their case, blanks and stored accents; and which class a word names."""

import unicodedata

from cxr.core.tabular_files import snake_case


def composed(text: str) -> str:
    """Return the text with each accent in its letter (NFC): macOS stores them apart in the names of files."""
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return what is compared of a word: `PCR+` and `PCR-` differ, `pcr  +` and `PCR +` do not."""
    return composed(" ".join(composed(text).split()).casefold())


def label_of(folder: str) -> str:
    """Return the snake-case label of a class folder: `Viral Pneumonia` is `viral_pneumonia`."""
    return snake_case(folder)


def class_named(label: str) -> str:
    """Return the class that a label names in its own spelling; empty where that would drop a sign: `covid-`, `?covid`.

    Letters of other alphabets count as signs: a class has none, and they may be a word for 'no'.
    """
    plain = unicodedata.normalize("NFKC", label).strip().strip("_ ")
    foreign = any(sign.isalpha() and not unicodedata.name(sign, "").startswith("LATIN") for sign in plain)
    whole = plain[:1].isalnum() and plain[-1:].isalnum() and not foreign
    return label_of(plain) if whole else ""


def label_key(label: str) -> str:
    """Return what is compared of a label: without case, with blanks for `_`, as folders have it, and with all signs."""
    return folded(label.replace("_", " "))


def folder_label(folder: str) -> str:
    """Return the label of a folder, of which brackets around a part say nothing; of no class, the name as it is."""
    return class_named(folder.strip("()[] ")) or folder
