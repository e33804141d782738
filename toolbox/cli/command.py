"""A command: a function, the options that it offers, and what the user gave for them."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from toolbox.cli import options as shared
from toolbox.cli.options import Option
from toolbox.cli.terminal import Terminal
from toolbox.settings import environment

if TYPE_CHECKING:
    from toolbox.plugin.registry import Registry
    from toolbox.study.study import Study
    from toolbox.workspace import Workspace

_EPILOG = "With a component on the line ('--augmenter mri --help'), its parameters are listed too."
_WORDS = "toolbox.words"


class Call:
    """A command as the user gave it."""

    def __init__(self, options: Sequence[Option], values: Mapping[str, Any]) -> None:
        self._options = options
        self._values = values
        self.follows = environment.rank() > 0
        """Whether this is another process than the first that torchrun started; only the first one prints."""
        self.terminal = Terminal(values["as_json"], values["quiet"] or self.follows)
        self.dry_run: bool = values.get("dry_run", False)
        self.force: bool = values.get("force", False)
        self.folder: Path = values.get("workspace", Path())

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that the options write, by dotted name."""
        return shared.collect(self._options, self._values)

    @property
    def command_line(self) -> str:
        """As records keep it."""
        return shlex.join(["toolbox", *sys.argv[1:]])

    def open_workspace(self, *, resplit: bool = False) -> Workspace:
        """The workspace that the options describe; ``resplit`` forgets what an earlier ``data split`` was given."""
        from toolbox.workspace import Workspace

        workspace = Workspace(
            self.folder,
            settings=self.settings,
            reporter=self.terminal.reporter(),
            command=self.command_line,
            resplit=resplit,
            evaluators=self._values.get("evaluator") or (),
        )
        self.warn_of_broken_plugins(workspace.registry)
        return workspace

    def open_study(self, file: Path) -> Study:
        """The study of ``file`` in the workspace that the options describe."""
        from toolbox.study.study import Study

        settings = dict(self.settings)
        study = Study(
            file,
            workspace=self.folder,
            data=settings.pop("data", None),
            settings=settings,
            reporter=self.terminal.reporter(),
            command=self.command_line,
        )
        self.warn_of_broken_plugins(study.registry)
        return study

    def warn_of_broken_plugins(self, registry: Registry) -> None:
        """Name the plugins that failed to load, in one line; the others work."""
        failures = registry.failures()
        names = ", ".join(plugin.name for plugin in failures)
        if len(failures) == 1:
            self.terminal.reporter().warn(f"plugin {names} failed ({failures[0].error}); see 'toolbox doctor'")
        elif failures:
            self.terminal.reporter().warn(f"{len(failures)} plugins failed: {names}; see 'toolbox doctor'")


class Command(TyperCommand):
    """A command whose help also describes the settings that its options write, and the components on its line."""

    options: Mapping[str, Option] = {}

    def describe_options(self) -> None:
        """Complete the options that write settings by what the schema says of these."""
        shared.describe(self.options, self.params)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words for :meth:`format_help`, which is called before they are parsed."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Offer options with what they mean."""
        if incomplete.startswith("-"):
            self.describe_options()
        return super().shell_complete(ctx, incomplete)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the command's own help, then a panel for each component."""
        from toolbox.cli.views.component_help import component_panels

        self.describe_options()
        super().format_help(ctx, formatter)
        takes_model = any(parameter.name == "model" for parameter in self.params)
        panels = component_panels(ctx.meta.get(_WORDS, []), takes_model)
        if panels:
            from rich.console import Console

            Console().print(*panels)


def command(
    app: typer.Typer, *options: Option, name: str | None = None, panel: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a function to ``app`` as a command that offers ``options``, ``--json`` and ``--quiet``.

    The function's first parameter is the :class:`Call`; the others are arguments and options of its own.
    """
    offered = (*options, shared.JSON, shared.QUIET)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def run(**values: Any) -> None:
            function(Call(offered, values), **{parameter.name: values[parameter.name] for parameter in own})

        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(item.name, keyword, annotation=item.annotation, default=item.default) for item in offered
        ]
        run.__signature__ = inspect.Signature([item.replace(kind=keyword) for item in own] + added)  # type: ignore[attr-defined]
        run.__name__, run.__doc__, run.__annotations__ = function.__name__, function.__doc__, {}
        bound = type("Command", (Command,), {"options": {item.name: item for item in offered}})
        epilog = _EPILOG if shared.AUGMENTER in offered or shared.EVALUATOR in offered else None
        app.command(name, cls=bound, epilog=epilog, rich_help_panel=panel)(run)
        return function

    return decorate
