"""JSON files of a run: one pydantic model writes and reads each of them."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from toolbox.api.errors import UsageError
from toolbox.files import atomic

Json = dict[str, Any]


class Part(BaseModel):
    """A JSON object. Keys that this version does not know are kept."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Document(Part):
    """A JSON file."""

    @classmethod
    def migrate(cls, document: Json) -> Json:
        """Bring what an older version wrote up to date. Defaults of fields need nothing here."""
        return document

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file at ``path``.

        Raises
        ------
        UsageError: it is missing, damaged (the key is named), or written by a newer version.
        """
        document = read_json(path)
        version = document.pop("schema", atomic.SCHEMA)
        if not isinstance(version, int) or version > atomic.SCHEMA:
            raise UsageError(
                f"{path} has schema {version!r}; this version reads up to {atomic.SCHEMA}", "Update the toolbox."
            )
        try:
            # As JSON: in strict mode Python's list is no tuple, and a dictionary no dataclass.
            return cls.model_validate_json(json.dumps(cls.migrate(document)))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise UsageError(
                f"{path} is damaged at {key}: {first['msg']}", "Restore it, evaluate the run again, or train a new run."
            ) from error

    def document(self) -> Json:
        """The keys that are set, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        EnvironmentFailure: the disk is full, read-only, ….
        """
        atomic.write_json(path, self.document())

    def updated(self, **values: Any) -> Self:
        """A copy with other ``values``."""
        return self.model_copy(update=values)


def known_keys(kind: type) -> BeforeValidator:
    """Drop what the dataclass ``kind`` has no field for, such as a later version's keys."""
    names = {field.name for field in fields(kind)}
    return BeforeValidator(
        lambda value: {key: item for key, item in value.items() if key in names} if isinstance(value, dict) else value
    )


def read_json(path: Path) -> Json:
    """The JSON object in a file.

    Raises
    ------
    UsageError: there is none.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no {path}", "Has the run finished?") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds no JSON object")
    return document
