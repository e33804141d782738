"""File names made from names that came from outside."""

from __future__ import annotations

import re
import unicodedata

from toolbox.files.fingerprint import of_bytes

_UNSAFE = re.compile(r"[^\w.+ -]", re.UNICODE)
# Windows knows these with any ending, with spaces before it, and takes the raised digits for digits.
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]) *(\..*)?\Z", re.IGNORECASE)
_MAX_BYTES = 80


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
