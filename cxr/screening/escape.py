"""The one escape of the result tables: any path or text as a cell of one line that no spreadsheet executes."""

import re
import unicodedata

# A spreadsheet runs a cell that starts with one of these; the last four are the full-width forms.
FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
# Control characters, lone surrogates (bytes that are not UTF-8), line and paragraph separators.
ESCAPED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_PLAIN = re.compile(r"[ !-*,./-<>?A-\[\]-~][ -\[\]-~]*")  # printable ASCII, no backslash, no formula: most names
_ESCAPE = re.compile(r"\\(?:(?P<backslash>\\)|(?P<newline>n)|x(?P<byte>[0-9a-f]{2}))")


def escape(text: str) -> str:
    r"""Write `text` as a cell that is one line of valid UTF-8, and that no spreadsheet executes.

    A backslash becomes `\\`, a newline `\n`; each byte of any other control character, of a line separator, of
    what is not UTF-8, and of a leading formula sign becomes `\xNN`. All other characters stay.
    """
    if _PLAIN.fullmatch(text):
        return text
    escaped = "".join(_escape_character(character) for character in text)
    if text and text[0] in FORMULA_STARTS:
        return _escape_bytes(text[0]) + escaped[1:]
    return escaped


def unescape(cell: str) -> str:
    """Return the text that `escape` made `cell` from; bytes that are not UTF-8 become surrogate escapes."""
    raw, end = bytearray(), 0
    for match in _ESCAPE.finditer(cell):
        raw += cell[end : match.start()].encode()
        raw += bytes.fromhex(match["byte"]) if match["byte"] else b"\\" if match["backslash"] else b"\n"
        end = match.end()
    raw += cell[end:].encode()
    return raw.decode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Return `text` fit for a terminal: control characters and what is not UTF-8 escaped, everything else as it is."""
    return "".join(character if character == "\\" else _escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character == "\n":
        return "\\n"
    return _escape_bytes(character) if unicodedata.category(character) in ESCAPED_CATEGORIES else character


def _escape_bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
