"""The studies that come with the toolbox: one TOML file each, in this folder."""

from __future__ import annotations

from pathlib import Path

from toolbox.api.errors import UsageError, closest

FOLDER = Path(__file__).parent


def builtin_studies() -> dict[str, Path]:
    """The file of each built-in study, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def find_study(name_or_file: str | Path) -> Path:
    """Return the file of a study that is given by its path, or by the name of a built-in one.

    Raises
    ------
    UsageError: it is neither; the closest name is suggested.
    """
    path, studies = Path(name_or_file), builtin_studies()
    if path.is_file() or path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if path.name not in studies:
        raise UsageError(f"No study and no file named {path.name!r}.", closest(path.name, studies))
    return studies[path.name]
