"""Patients without their names: a keyed hash whose key stays on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from toolbox.api.errors import EnvironmentFailure

KEY_BYTES = 32


def pseudonym(name: str, key: bytes) -> str:
    """The HMAC-SHA256 of ``name``, its first 16 hexadecimal digits: the same for a patient, telling nothing of him."""
    return hmac.new(key, name.strip().encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]


def machine_key() -> bytes:
    """This machine's key, made on first use in the user's configuration folder, readable by the user alone.

    Without the key, the hashes do not reveal whether a patient is among them; another key gives other hashes.
    ``TOOLBOX_CONFIG_DIR`` names another folder.

    Raises
    ------
    EnvironmentFailure: it can't be read or written, or is not a key.
    """
    from platformdirs import user_config_path

    folder = Path(os.environ.get("TOOLBOX_CONFIG_DIR") or user_config_path("toolbox"))
    path = folder / "pseudonyms.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            handle, name = tempfile.mkstemp(prefix=".pseudonyms.", dir=folder)  # 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                # Whoever links first decides; a second process reads what the first one wrote, whole.
                with contextlib.suppress(FileExistsError):
                    os.link(name, path)
            finally:
                Path(name).unlink(missing_ok=True)
        key = path.read_bytes()
    except OSError as error:
        raise EnvironmentFailure(
            f"can't read or write {path}: {error.strerror or error}", "TOOLBOX_CONFIG_DIR names another folder."
        ) from error
    if len(key) != KEY_BYTES:
        raise EnvironmentFailure(
            f"{path} is no key of {KEY_BYTES} bytes", "Delete it for a new one; patients then get new pseudonyms."
        )
    return key
