"""``toolbox plugins``: what is installed, and how it comes, goes and rests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import completion, options

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin.installer import Installer
    from toolbox.plugin.registry import PluginStatus

group = typer.Typer(help="Plugins: install them, look at them, write your own.", no_args_is_help=True)
USE, WRITE = "Use", "Write"

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The plugin, or its distribution.", autocompletion=completion.PLUGIN)
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(group, name="plugins", rich_help_panel="Look around")


@group.command("list", rich_help_panel=USE)
def list_plugins(as_json: options.AsJson = False) -> None:
    """List the installed plugins: version, what each offers, whether it is enabled, and which failed and why."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.plugin.registry import Registry

    terminal = Terminal(as_json)
    table = Table("plugin", "from", "offers", box=None, pad_edge=False, header_style="bold")
    plugins = Registry().plugins
    for plugin in plugins:
        table.add_row(Text(plugin.name, "bold"), Text(f"{plugin.distribution} {plugin.version}"), _offers(plugin))
    terminal.show(table)
    terminal.emit({"plugins": [_row(plugin) for plugin in plugins]})


@group.command(rich_help_panel=USE)
def install(
    wanted: Annotated[
        list[str],
        typer.Argument(metavar="WHAT...", help="A name, folder, wheel or git URL, or a list from 'plugins freeze'."),
    ],
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Also what is there already.")] = False,
    yes: Yes = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Install plugins into this environment, with its own pip or uv.

    A plugin is code: once installed it runs, with all your rights, whenever the toolbox does. What would be installed
    is shown before it is.
    """
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import installer
    from toolbox.plugin.discovery import installed, normalised

    terminal = Terminal(as_json)
    installer.check_wanted(wanted)
    program = installer.Installer()
    before = {(plugin.name, plugin.distribution) for plugin in installed()}
    terminal.messages.print("A plugin is code: it runs, with all your rights, whenever the toolbox does.")
    changes = _planned(program, wanted, upgrade, yes, terminal)
    terminal.show("Nothing to install: it is all there." if not changes else "To be installed:")
    terminal.show(*(Text(f"  {change}") for change in changes))
    document: dict[str, Any] = {
        "install": [{"name": item.name, "version": item.version, "present": item.present} for item in changes]
    }
    if dry_run or not changes:
        terminal.emit({**document, "plugins": []})
        return
    if not yes:
        _ask("Install?")
    program.install(wanted, upgrade=upgrade)
    brought = {normalised(change.name) for change in changes}
    after = [
        plugin
        for plugin in installed()
        if normalised(plugin.distribution) in brought or (plugin.name, plugin.distribution) not in before
    ]
    for plugin in after:
        terminal.show(f"Installed the plugin {plugin.name} ({plugin.distribution} {plugin.version}). Look at it with:")
        terminal.show(f"  toolbox plugins check {plugin.name}")
    if not after:
        terminal.reporter().warn("what was installed offers no plugin: it has no entry point in the group 'toolbox'")
    terminal.emit({**document, "plugins": [plugin.name for plugin in after]})


@group.command(rich_help_panel=USE)
def uninstall(name: Name, yes: Yes = False, as_json: options.AsJson = False) -> None:
    """Remove the distribution that brings a plugin, also one that can't be loaded."""
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import disabled, installer

    terminal = Terminal(as_json)
    distribution = installer.removable(name)
    plugins = [plugin.name for plugin in installer.named(distribution)]
    terminal.show(f"{distribution} brings: {', '.join(plugins)}")
    if not yes:
        _ask(f"Uninstall {distribution}?")
    installer.Installer().uninstall(distribution)
    disabled.remove([distribution, *plugins])
    terminal.show(f"Removed {distribution}.")
    terminal.emit({"uninstalled": distribution, "plugins": plugins})


@group.command(rich_help_panel=USE)
def disable(name: Name, as_json: options.AsJson = False) -> None:
    """Do without a plugin, without removing it: it is not loaded any more, for this user.

    For one command: --no-plugins. For a session: TOOLBOX_DISABLE_PLUGINS=NAME,NAME.
    """
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import disabled, installer

    names = [plugin.name for plugin in installer.named(name)]
    disabled.save([*disabled.load(), *names])
    terminal = Terminal(as_json)
    terminal.show(f"Disabled: {', '.join(names)}. Undo it with: toolbox plugins enable {name}")
    terminal.emit({"disabled": disabled.load(), "file": str(disabled.config_file())})


@group.command(rich_help_panel=USE)
def enable(name: Name, as_json: options.AsJson = False) -> None:
    """Have a plugin loaded again that was disabled."""
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import disabled, installer

    terminal = Terminal(as_json)
    kept = disabled.load()
    # One that was uninstalled by other means is still in the list, and must come out of it.
    names = [name] if name in kept else [plugin.name for plugin in installer.named(name)]
    disabled.remove(names)
    terminal.show(f"Enabled: {', '.join(names)}." if set(names) & set(kept) else f"{name} was not disabled.")
    said = [text for text in disabled.from_environment() if text in (disabled.ALL, *names)]
    if said:
        terminal.reporter().warn(f"{disabled.VARIABLE}={','.join(said)} still disables it")
    terminal.emit({"disabled": disabled.load(), "file": str(disabled.config_file())})


@group.command(rich_help_panel=USE)
def freeze(as_json: options.AsJson = False) -> None:
    """Print the list of installed plugins that 'toolbox plugins install FILE' takes back, in a new environment, say."""
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import installer

    terminal = Terminal(as_json)
    lines = installer.frozen()
    for line in lines:
        terminal.results.print(line, markup=False, soft_wrap=True)
    if not lines:
        terminal.reporter().info("no plugins but those that come with the toolbox")
    terminal.emit({"requirements": lines})


@group.command(rich_help_panel=WRITE)
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]", help="The plugin; all of them where none is named.", autocompletion=completion.PLUGIN
        ),
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Check that a plugin keeps what the toolbox relies on; exit code 2 where it doesn't."""
    from rich.text import Text

    from toolbox.api.errors import EXIT_USAGE
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import installer
    from toolbox.plugin.discovery import installed
    from toolbox.plugin.registry import Registry
    from toolbox.testing import check_plugin, needs_more

    terminal, registry = Terminal(as_json), Registry()
    names = sorted({plugin.name for plugin in (installer.named(name) if name else installed())})
    rows: list[dict[str, str]] = []
    partly: list[dict[str, Any]] = []
    for plugin in names:
        findings = check_plugin(plugin, registry)
        rows += [
            {"plugin": plugin, "component": item.component, "check": item.check, "problem": item.problem}
            for item in findings
        ]
        number = len(findings)
        verdict = Text(f"{number} problem{'s' * (number > 1)}", "red") if findings else Text("passes", "green")
        terminal.show(Text.assemble((plugin, "bold"), ": ", verdict))
        for item in findings:
            terminal.show(Text(f"  {item.component or plugin}: {item.check}: {item.problem}"))
        for component_kind, component, parameters in needs_more(plugin, registry):
            wanted = ", ".join(parameters)
            terminal.show(
                Text(f"  {component_kind} {component}: was not made, as it needs {wanted}; see its own tests", "dim")
            )
            partly.append({"plugin": plugin, "component": f"{component_kind} {component}", "needs": parameters})
    terminal.emit({"checked": names, "findings": rows, "not_made": partly})
    if rows:
        raise typer.Exit(EXIT_USAGE)


@group.command(rich_help_panel=WRITE)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the plugin and of what it offers.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="dataset, augmenter (default), model, evaluator, tracker, engine; may be repeated.",
            autocompletion=completion.KIND,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where its folder toolbox-NAME is made.")] = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Write a complete plugin, in a folder toolbox-NAME: ready to be installed, used, tested, and changed."""
    from rich.markup import escape

    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import scaffold
    from toolbox.plugin.registry import Registry, as_kind

    terminal = Terminal(as_json)
    kinds = list(dict.fromkeys(as_kind(text) for text in kind or ["augmenter"]))
    files = scaffold.write(name, kinds, out, Registry())
    folder = files[0].parent
    terminal.show(f"Wrote [bold]{escape(str(folder))}[/] ({len(files)} files). Next:")
    terminal.show(*(f"  {escape(line)}" for line in scaffold.next_steps(name, kinds, folder)))
    terminal.emit({"path": str(folder), "files": [file.relative_to(folder).as_posix() for file in files]})


def _planned(program: Installer, wanted: list[str], upgrade: bool, yes: bool, terminal: Terminal) -> list[Any]:
    """What would be installed. No foreign code runs to find out unless the user says so, or said ``--yes``."""
    from toolbox.api.errors import EnvironmentFailure
    from toolbox.plugin import installer

    sources = installer.runs_code(wanted)
    if not sources:
        try:
            return list(program.plan(wanted, upgrade=upgrade, build=False))
        except EnvironmentFailure as error:
            terminal.messages.print(f"Not to be had as wheels alone ({error.message})", markup=False, soft_wrap=True)
            sources = wanted
    said = f"To build from source runs code of theirs already now: {', '.join(sources)}"
    terminal.messages.print(said, markup=False, soft_wrap=True)
    if not yes:
        _ask("Look at it?")
    return list(program.plan(wanted, upgrade=upgrade))


def _ask(question: str) -> None:
    """Go on only if the user says yes."""
    import sys

    from toolbox.api.errors import Interrupted, UsageError

    try:
        sure = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin is not None and sys.stdin.isatty():
            raise
        typer.echo(err=True)
        raise UsageError("there is nobody to ask", "Add --yes to go on without a question.") from None
    if not sure:
        raise Interrupted("nothing was changed")


def _offers(plugin: PluginStatus) -> Any:
    from rich.text import Text

    offers = ", ".join(f"{component.kind} {component.name}" for component in plugin.components)
    if plugin.disabled_by:
        return Text(f"disabled by {plugin.disabled_by}", "dim")
    if plugin.error:
        return Text(f"{offers}; " if offers else "").append(f"failed: {plugin.error}", "red")
    return Text(offers or "nothing")


def _row(plugin: PluginStatus) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "api_version": plugin.api_version,
        "components": [{"kind": component.kind, "name": component.name} for component in plugin.components],
        "enabled": not plugin.disabled_by,
        "disabled_by": plugin.disabled_by,
        "error": plugin.error,
        "hint": plugin.hint,
    }
