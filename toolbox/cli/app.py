"""The command line: its commands, and how failures are reported."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import typer

from toolbox.api.errors import EXIT_FAILED, EXIT_INTERRUPTED, ToolboxError
from toolbox.cli import completion, terminal
from toolbox.cli.commands import (
    augment,
    cache,
    compare,
    components,
    data,
    demo,
    evaluate,
    export,
    init,
    plugins,
    predict,
    report,
    study,
    train,
)

NO_PLUGINS = "--no-plugins"
_CONTINUE = (
    "Run the same command again to continue an augmentation or a study; a training: 'toolbox train --resume RUN'."
)

app = typer.Typer(
    name="toolbox",
    help="Image-classification experiments as composed commands, every figure with its evidence.",
    epilog="Start with 'toolbox demo', or in a folder of your own with 'toolbox init PATH'.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (init, demo, augment, train, evaluate, predict, export, compare, report, components):
    app.add_typer(module.app)
app.add_typer(data.app, name="data", rich_help_panel="Begin")
app.add_typer(study.app, name="study", rich_help_panel="Experiment")
app.add_typer(cache.app, name="cache", rich_help_panel="Look around")
app.add_typer(plugins.app, name="plugins", rich_help_panel="Look around")


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True),
    no_plugins: bool = typer.Option(
        False, NO_PLUGINS, help="Load only the plugins that come with the toolbox; works anywhere on the line."
    ),
) -> None:
    """Image-classification experiments as composed commands, every figure with its evidence."""
    if version:
        from toolbox import __version__

        typer.echo(f"toolbox {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code. A failure is one line and a hint on stderr, never a traceback."""
    as_json = "--json" in arguments and not {"-h", "--help"} & set(arguments)
    # It works anywhere: users add it to the end of the line that failed.
    no_plugins = NO_PLUGINS in arguments
    words = [word for word in arguments if word != NO_PLUGINS]
    for stream in (sys.stdout, sys.stderr):
        # A console without braille or accents shows question marks; it must not end a training.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Figures are files here; matplotlib can't be imported with a backend that it doesn't know.
    os.environ["MPLBACKEND"] = "agg"
    # Pillow warns of odd EXIF and palettes; the quarantine reports what can't be used.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with _without_plugins(no_plugins), terminal.one_document() if as_json else nullcontext(), _completion():
            code = int(app(words, prog_name="toolbox", standalone_mode=False) or 0)
    except ToolboxError as error:
        terminal.debug(error)
        return terminal.failure(error.message, error.hint, error.exit_code, as_json)
    except typer.TyperException as error:
        return _usage(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return terminal.failure("interrupted", _CONTINUE, EXIT_INTERRUPTED, as_json)
    except BrokenPipeError:
        # The reader of our output closed it; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except MemoryError:
        return terminal.failure("out of memory", "Lower training.batch_size or training.size.", EXIT_FAILED, as_json)
    except Exception as error:
        terminal.debug(error)
        return terminal.crash(error, as_json)
    # Typer turns Ctrl-C into its exit code without a message.
    return terminal.failure("interrupted", _CONTINUE, code, as_json) if code == EXIT_INTERRUPTED else code


def _completion() -> AbstractContextManager[None]:
    """The context of a shell completion, if this is one and no command."""
    if completion.VARIABLE not in os.environ:
        return nullcontext()
    return completion.answer()


@contextmanager
def _without_plugins(active: bool) -> Iterator[None]:
    """Load no third-party plugins, here and in the processes that the command starts."""
    if not active:
        yield
        return
    from toolbox.plugin.disabled import ALL, VARIABLE

    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = f"{before or ''},{ALL}"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _usage(error: typer.TyperException, as_json: bool) -> int:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    code = int(getattr(error, "exit_code", EXIT_FAILED))
    if not message:
        return code
    context = getattr(error, "ctx", None)
    hint = f"See '{context.command_path} --help'." if context is not None else ""
    return terminal.failure(message, hint, code, as_json)
