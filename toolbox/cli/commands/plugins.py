"""``toolbox plugins``: list, install, remove, disable, check and write plugins."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

if TYPE_CHECKING:
    from toolbox.plugin.discovery import Installed

app = typer.Typer(help="Install plugins, list them, write your own.", no_args_is_help=True)
USE, WRITE = "Use", "Write"

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The plugin, or its distribution.", autocompletion=completion.PLUGIN)
]


@command(app, name="list", panel=USE)
def list_plugins(call: Call) -> None:
    """List the installed plugins: version, what each offers, whether it is enabled, and which failed and why."""
    from toolbox.cli.views.plugins import plugins_table
    from toolbox.plugin.registry import Registry

    plugins = Registry().plugins
    call.terminal.show(plugins_table(plugins))
    call.terminal.emit({"plugins": [plugin.document() for plugin in plugins]})


@command(app, options.DRY_RUN, panel=USE)
def install(
    call: Call,
    requirements: Annotated[
        list[str],
        typer.Argument(metavar="WHAT...", help="A name, folder, wheel or git URL, or a file from 'plugins freeze'."),
    ],
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Upgrade what is already installed.")] = False,
    yes: Yes = False,
) -> None:
    """Install plugins into this environment, with its own pip or uv.

    A plugin is code: once installed, it runs with all your rights whenever the toolbox does. What would be installed
    is shown first.
    """
    from rich.text import Text

    from toolbox.plugin import installer

    terminal = call.terminal
    installer.check_requirements(requirements)
    program = installer.Installer()
    terminal.messages.print("A plugin is code: it runs with all your rights whenever the toolbox does.")
    try:
        changes = program.plan(requirements, upgrade=upgrade, build=False)
    except installer.BuildNeeded as error:
        terminal.messages.print(error.message, markup=False, soft_wrap=True)
        if not yes:
            _confirm("Continue?")
        changes = program.plan(requirements, upgrade=upgrade)
    terminal.show("To be installed:" if changes else "Nothing to install: everything is already installed.")
    terminal.show(*(Text(f"  {change}") for change in changes))
    plugins: list[Installed] = []
    if changes and not call.dry_run:
        if not yes:
            _confirm("Install?")
        plugins = program.install(requirements, changes, upgrade=upgrade)
        for plugin in plugins:
            terminal.show(
                f"Installed the plugin {plugin.name} ({plugin.distribution} {plugin.version}). Check it with:"
            )
            terminal.show(f"  toolbox plugins check {plugin.name}")
        if not plugins:
            terminal.reporter().warn("no plugin was installed: there is no entry point in the group 'toolbox'")
    terminal.emit({"install": [asdict(change) for change in changes], "plugins": [plugin.name for plugin in plugins]})


@command(app, panel=USE)
def uninstall(call: Call, name: Name, yes: Yes = False) -> None:
    """Uninstall the distribution of a plugin, even if the plugin can't be loaded."""
    from toolbox.plugin import installer

    distribution = installer.removable(name)
    plugins = [plugin.name for plugin in installer.named(distribution)]
    call.terminal.show(f"{distribution} provides: {', '.join(plugins)}")
    if not yes:
        _confirm(f"Uninstall {distribution}?")
    installer.Installer().uninstall(distribution)
    call.terminal.show(f"Uninstalled {distribution}.")
    call.terminal.emit({"uninstalled": distribution, "plugins": plugins})


@command(app, panel=USE)
def disable(call: Call, name: Name) -> None:
    """Stop loading a plugin, for this user, without uninstalling it.

    For one command: --no-plugins. For a session: TOOLBOX_DISABLE_PLUGINS=NAME,NAME.
    """
    from toolbox.plugin import disabled, installer

    names = [plugin.name for plugin in installer.named(name)]
    disabled.save([*disabled.load(), *names])
    call.terminal.show(f"Disabled: {', '.join(names)}. To undo: toolbox plugins enable {name}")
    call.terminal.emit({"disabled": disabled.load(), "file": str(disabled.config_file())})


@command(app, panel=USE)
def enable(call: Call, name: Name) -> None:
    """Load a disabled plugin again."""
    from toolbox.plugin import disabled, installer

    before = disabled.load()
    # A plugin that was uninstalled by other means is still in the list, and must come off it.
    names = [name] if name in before else [plugin.name for plugin in installer.named(name)]
    disabled.remove(names)
    call.terminal.show(f"Enabled: {', '.join(names)}." if set(names) & set(before) else f"{name} was not disabled.")
    variable = [text for text in disabled.from_environment() if text in (disabled.ALL, *names)]
    if variable:
        call.terminal.reporter().warn(f"{disabled.VARIABLE}={','.join(variable)} still disables it")
    call.terminal.emit({"disabled": disabled.load(), "file": str(disabled.config_file())})


@command(app, panel=USE)
def freeze(call: Call) -> None:
    """Print the list of installed plugins that 'toolbox plugins install FILE' installs in another environment."""
    from toolbox.plugin import installer

    requirements = installer.frozen()
    for line in requirements:
        call.terminal.results.print(line, markup=False, soft_wrap=True)
    if not requirements:
        call.terminal.reporter().info("only the plugins that come with the toolbox are installed")
    call.terminal.emit({"requirements": requirements})


@command(app, panel=WRITE)
def check(
    call: Call,
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The plugin; default: all.", autocompletion=completion.PLUGIN)
    ] = "",
) -> None:
    """Check that a plugin meets the contract of its components; exit code 2 if it doesn't."""
    from toolbox.api.errors import EXIT_USAGE
    from toolbox.cli.views.plugins import check_lines
    from toolbox.plugin import installer
    from toolbox.plugin.discovery import installed
    from toolbox.plugin.registry import Registry
    from toolbox.testing import check_plugin, missing_parameters

    registry = Registry()
    names = sorted({plugin.name for plugin in (installer.named(name) if name else installed())})
    rows: list[dict[str, str]] = []
    skipped: list[dict[str, Any]] = []
    for plugin in names:
        findings, incomplete = check_plugin(plugin, registry), list(missing_parameters(plugin, registry))
        call.terminal.show(*check_lines(plugin, findings, incomplete))
        rows += [{"plugin": plugin, **asdict(finding)} for finding in findings]
        skipped += [
            {"plugin": plugin, "component": f"{kind} {component}", "needs": parameters}
            for kind, component, parameters in incomplete
        ]
    call.terminal.emit({"checked": names, "findings": rows, "not_made": skipped})
    if rows:
        raise typer.Exit(EXIT_USAGE)


@command(app, panel=WRITE)
def new(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the plugin and its component.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="dataset, augmenter (default), model, evaluator, tracker, engine; repeatable.",
            autocompletion=completion.KIND,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to create the folder toolbox-NAME.")] = Path(),
) -> None:
    """Write a complete plugin to a folder toolbox-NAME, ready to be installed, tested, and changed."""
    from rich.markup import escape

    from toolbox.plugin import scaffold
    from toolbox.plugin.registry import Registry, as_kind

    kinds = list(dict.fromkeys(as_kind(text) for text in kind or ["augmenter"]))
    files = scaffold.write(name, kinds, out, Registry())
    folder = files[0].parent
    call.terminal.show(f"Wrote [bold]{escape(str(folder))}[/] ({len(files)} files). Next:")
    call.terminal.show(*(f"  {escape(line)}" for line in scaffold.next_steps(name, kinds, folder)))
    call.terminal.emit({"path": str(folder), "files": [file.relative_to(folder).as_posix() for file in files]})


def _confirm(question: str) -> None:
    """Return if the user says yes.

    Raises
    ------
    Interrupted: the user says no.
    UsageError: there is no terminal to ask on.
    """
    import sys

    from toolbox.api.errors import Interrupted, UsageError

    try:
        confirmed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin is not None and sys.stdin.isatty():
            raise
        typer.echo(err=True)
        raise UsageError("confirmation needs a terminal", "Add --yes to continue without a question.") from None
    if not confirmed:
        raise Interrupted("nothing was changed")
