"""Names that follow from content: SHA-256 of files, of decoded pixels, of records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


def of_bytes(data: bytes) -> str:
    """SHA-256 of ``data``, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_pixels(image: Image.Image) -> str:
    """SHA-256 of a decoded image: mode, width, height and pixels, so that a transposed picture differs."""
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height}\n".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def of_record(record: Any) -> str:
    """SHA-256 of JSON data in canonical form (sorted keys, no spaces)."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def of_rows(rows: Iterable[Iterable[str]]) -> str:
    """SHA-256 over sorted rows of strings: the same whatever the order they come in."""
    digest = hashlib.sha256()
    for row in sorted(tuple(row) for row in rows):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
