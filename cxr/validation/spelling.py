"""When two words of people are one: letter case, blanks and the way in which accents are stored do not count."""

import unicodedata


def composed(text: str) -> str:
    """Return the text with each accent in its letter (NFC): macOS stores them apart in the names of files."""
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return what is compared of a word: `PCR+` and `PCR-` differ, `pcr  +` and `PCR +` do not."""
    return composed(" ".join(composed(text).split()).casefold())
