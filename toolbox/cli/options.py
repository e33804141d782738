"""Options, declared once: those that write a setting, and those that commands share.

An option that writes a setting is bound to it by name. Its help, range and placeholder come from the settings' schema,
which is imported when a command's help is shown; its value is checked with all other settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from toolbox.api.errors import UsageError
from toolbox.cli import completion

_PANELS = {"split": "Data", "audit": "Data", "augment": "Augmentation"}
_OUTPUT = "Output"


@dataclass(frozen=True)
class Option:
    """An option that a command offers.

    ``settings``: what it writes; empty for an option that is no setting. ``constant``: the value that a flag writes;
    ``None``: what the user gives.
    """

    name: str
    annotation: Any
    default: Any = None
    settings: tuple[str, ...] = ()
    constant: Any = None
    help: str = ""

    @property
    def flag(self) -> str:
        """As messages name it."""
        return f"--{self.name.replace('_', '-')}"


def setting(names: str | tuple[str, ...], flag: str, *, constant: Any = None, help: str = "") -> Option:
    """An option that writes the setting called ``names``, or several alike.

    ``constant`` makes it a flag that writes this value, and so does ``--x/--no-x`` with true and false. ``help``
    replaces the schema's description.
    """
    names = (names,) if isinstance(names, str) else names
    kind: Any = bool if constant is not None or "/" in flag else str
    section = names[0].rpartition(".")[0]
    panel = "Data" if names[0] == "data" else _PANELS.get(section, "Training")
    complete = None if kind is bool else completion.setting_value(names[0])
    info = typer.Option(flag, rich_help_panel=panel, autocompletion=complete)
    name = flag.partition("/")[0].lstrip("-").replace("-", "_")
    return Option(name, Annotated[kind | None, info], None, names, constant, help)


def shared(name: str, kind: Any, *flags: str, default: Any = None, **more: Any) -> Option:
    """An option that is no setting; ``more`` as for ``typer.Option``."""
    return Option(name, Annotated[kind, typer.Option(*flags, **more)], default)


WORKSPACE = shared(
    "workspace",
    Path,
    "--workspace",
    "-C",
    default=Path(),
    metavar="DIR",
    help="The folder to work in.",
    rich_help_panel="Data",
)
SETS = shared(
    "sets",
    list[str] | None,
    "--set",
    metavar="KEY=VALUE",
    help="Any setting by its dotted name; repeatable.",
    autocompletion=completion.SETTING,
)
EVALUATOR = shared(
    "evaluator",
    list[str] | None,
    "--evaluator",
    metavar="SPEC",
    help="An evaluator beside those of the settings; repeatable; see 'toolbox list evaluators'.",
    autocompletion=completion.EVALUATOR,
)
DRY_RUN = shared(
    "dry_run",
    bool,
    "--dry-run",
    default=False,
    help="Show what would be done, with time and disk space, and do nothing.",
    rich_help_panel=_OUTPUT,
)
FORCE = shared(
    "force",
    bool,
    "--force",
    default=False,
    help="Replace a file that toolbox did not write.",
    rich_help_panel=_OUTPUT,
)
JSON = shared(
    "as_json", bool, "--json", default=False, help="Print one JSON document on stdout.", rich_help_panel=_OUTPUT
)
QUIET = shared("quiet", bool, "--quiet", "-q", default=False, help="Print errors only.", rich_help_panel=_OUTPUT)

DATA = setting("data", "--data")
SEED = setting("seed", "--seed")
DEVICE = setting("device", "--device")
AUGMENTER = setting("augment.augmenter", "--augmenter")
PROTOCOL = setting("split.protocol", "--protocol")
BATCH_SIZE = setting("training.batch_size", "--batch-size")
EPOCHS = setting(("training.epochs", "head.epochs", "last.epochs"), "--epochs", help="epochs of every stage")

DATASET = (DATA, WORKSPACE, SETS)
"""What every command that reads a dataset takes."""


def collect(options: Iterable[Option], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, by dotted name, that the parsed ``values`` of ``options`` write; ``--set`` first.

    Raises
    ------
    UsageError: two options write the same setting.
    """
    from toolbox.settings.layers import from_assignments
    from toolbox.settings.schema import parse_setting

    settings = dict(from_assignments(values.get("sets") or []).values)
    writers: dict[str, Option] = {}
    for option in options:
        value = values[option.name]
        if not option.settings or value is None or (value is False and option.constant is not None):
            continue
        for name in option.settings:
            if name in writers:
                raise UsageError(f"{writers[name].flag} and {option.flag} both set {name}", "Use one of them.")
            writers[name] = option
            setting_value = value if option.constant is None else option.constant
            settings[name] = parse_setting(name, setting_value) if isinstance(setting_value, str) else setting_value
    return settings


def describe(options: Mapping[str, Option], parameters: Iterable[Any]) -> None:
    """Complete those of a command's ``parameters`` that write settings by what the schema says of these."""
    from toolbox.settings.schema import setting_info

    for parameter in parameters:
        option = options.get(parameter.name)
        if option is None or not option.settings or not isinstance(parameter, TyperOption):
            continue
        info = setting_info(option.settings[0])
        text = option.help or info.description
        parameter.help = f"{text[:1].upper()}{text[1:]}."
        if not parameter.is_flag:
            parameter.metavar = info.metavar
            if info.low is not None:
                parameter.min, parameter.max = info.low, info.high
            if info.default not in ("", None) and len(option.settings) == 1:
                parameter.show_default = str(info.default)
