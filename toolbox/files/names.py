"""Names that came from outside, made safe for file systems, pages, terminals and spreadsheets."""

from __future__ import annotations

import re
import unicodedata

from toolbox.files.fingerprint import of_bytes

_UNSAFE = re.compile(r"[^\w.+ -]", re.UNICODE)
# Windows knows these with any ending, with spaces before it, and takes the raised digits for digits.
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]) *(\..*)?\Z", re.IGNORECASE)
_MAX_BYTES = 80
# XML knows no control characters, UTF-8 no lone surrogates (file names that were not UTF-8 hold them), and a
# terminal obeys the former.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def safe_name(text: str) -> str:
    """``text`` as one component of a path on any system: no separators, no dots in front, at most 80 bytes.

    A name that had to be changed gets a piece of its hash, so that two different ones stay different.
    """
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    while len(name.encode()) > _MAX_BYTES:
        name = name[:-1]
    name = name.strip(" .")
    if _RESERVED.match(name):
        name = f"_{name}"  # the hash alone won't do: con.txt-1a2b3c4d is con to Windows
    if name and name == text:
        return name
    return f"{name or 'x'}-{of_bytes(text.encode('utf-8', 'surrogatepass'))[:8]}"


def filesystem_key(path: str) -> str:
    """The same for two paths that some file system takes for one: letter case and Unicode form are left out."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def printable(text: str) -> str:
    """Replace what can't be written in HTML, SVG or on a terminal by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def spreadsheet_cell(text: str) -> str:
    """``text``, with an apostrophe before what a spreadsheet would take for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
