"""File names made from names that came from outside."""

from __future__ import annotations

import re
import unicodedata

from toolbox.files.fingerprint import of_bytes

_UNSAFE = re.compile(r"[^\w.+ -]", re.UNICODE)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z", re.IGNORECASE)
_MAX_BYTES = 80


def safe_name(text: str) -> str:
    """``text`` as one component of a path on any system: no separators, no dots in front, at most 80 bytes.

    A name that had to be changed gets a piece of its hash, so that two different ones stay different.
    """
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    while len(name.encode()) > _MAX_BYTES:
        name = name[:-1]
    name = name.strip(" .")
    if name and name == text and not _RESERVED.match(name):
        return name
    return f"{name or 'x'}-{of_bytes(text.encode('utf-8', 'surrogatepass'))[:8]}"
