"""What ``toolbox predict`` writes, image by image: lines for people, a CSV table, a JSON document."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from toolbox.data.index import QuarantinedSample
from toolbox.files.atomic import replace_file
from toolbox.files.names import printable, spreadsheet_cell

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.models.predict import Predicted, Predictions

_BAR, _LABEL, _PERCENT = 20, 24, len("100.0 %")
_IN_MEMORY = 16_000_000

Output = Callable[["Predicted | QuarantinedSample"], None]
"""Takes the next image's result."""


def outputs(
    predictions: Predictions, terminal: Terminal, stack: ExitStack, table: str | None, top: int | None
) -> tuple[list[Output], bool]:
    """The requested outputs, closed with ``stack``; and whether a progress bar fits beside them."""
    result: list[Output] = []
    if table is not None:
        result.append(stack.enter_context(_csv(table, predictions.classes, top)))
    if terminal.as_json:
        result.append(stack.enter_context(_json(predictions, top, terminal.document_stream)))
    if result or terminal.quiet:
        return result, table != "-"
    return [stack.enter_context(_lines(predictions, terminal, top))], False


def where(as_json: bool, table: str | None) -> str:
    """Where the user finds every file that could not be read."""
    if table is not None:
        return "the table" if table == "-" else table
    return "the document" if as_json else "the list above"


@contextmanager
def _lines(predictions: Predictions, terminal: Terminal, top: int | None) -> Iterator[Output]:
    """One line per image: path, class, probability, a bar. Only a narrow terminal shortens paths."""
    console = terminal.results
    label_width = min(_LABEL, max(map(len, predictions.classes)))
    path_width = max((len(str(path)) for path in predictions.paths), default=0)
    if console.is_terminal:
        path_width = min(path_width, max(console.width - label_width - _PERCENT - _BAR - 6, 12))
    counts: Counter[str] = Counter()

    def add(result: Predicted | QuarantinedSample) -> None:
        path = _fit(result.path, path_width)
        if isinstance(result, QuarantinedSample):
            problem = f"can't be read: {_one_line(result.reason)}"
            console.print(Text.assemble(path, "  ", (problem, "yellow")), soft_wrap=True)
            return
        ranked = result.ranked(top or 1)
        counts[ranked[0][0]] += 1
        for number, (label, probability) in enumerate(ranked):
            line = Text.assemble(
                path if number == 0 else " " * path_width,
                "  ",
                (_fit(label, label_width), "bold" if number == 0 else ""),
                f"  {f'{100 * probability:.1f} %':>{_PERCENT}}  ",
                ("█" * round(probability * _BAR), "cyan" if number == 0 else "dim"),
            )
            console.print(line, soft_wrap=True)

    yield add
    if counts.total() > 1:
        classes = ", ".join(f"{count:,} {_one_line(label)}" for label, count in counts.most_common())
        console.print(Text(f"{counts.total():,} images: {classes}", "dim"), soft_wrap=True)


@contextmanager
def _csv(table: str, classes: Sequence[str], top: int | None) -> Iterator[Output]:
    """CSV: path, prediction, probability, one column per class, and why a file could not be read.

    With ``top``, prediction and probability of the second most likely class and so on replace the classes' columns.
    """
    top = min(top, len(classes)) if top else None
    names = [f"{name}{rank}" for rank in range(2, (top or 1) + 1) for name in ("prediction", "probability")]
    names = names if top else [f"p:{name}" for name in classes]
    with ExitStack() as stack:
        file: IO[str] = sys.stdout
        if table != "-":
            temporary = stack.enter_context(replace_file(Path(table)))
            # Names that are not UTF-8 are written as the bytes they are.
            file = stack.enter_context(temporary.open("w", encoding="utf-8", errors="surrogateescape", newline=""))
        writer = csv.writer(file, lineterminator="\n")
        shown = file is sys.stdout and sys.stdout.isatty()

        def write(cells: Sequence[str]) -> None:
            writer.writerow([spreadsheet_cell(printable(cell) if shown else cell) for cell in cells])

        write(["path", "prediction", "probability", *names, "problem"])

        def add(result: Predicted | QuarantinedSample) -> None:
            if isinstance(result, QuarantinedSample):
                write([result.path, "", "", *("" for _ in names), result.reason])
                return
            cells = [cell for label, value in result.ranked(top or 1) for cell in (label, repr(value))]
            if not top:
                cells += [repr(float(value)) for value in result.probabilities]
            write([result.path, *cells, ""])

        yield add


@contextmanager
def _json(predictions: Predictions, top: int | None, stream: IO[str]) -> Iterator[Output]:
    """One JSON document, kept in memory (on disk beyond some megabytes) until it is complete."""
    counts: Counter[bool] = Counter()
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="") as file:
        run = predictions.run
        head = {"schema": 1, "run": run.id, "model": run.record.model, "classes": list(predictions.classes)}
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "images": [')

        def add(result: Predicted | QuarantinedSample) -> None:
            readable = not isinstance(result, QuarantinedSample)
            entry: dict[str, Any] = {"path": result.path}
            if isinstance(result, QuarantinedSample):
                entry["problem"] = result.reason
            else:
                ranked = result.ranked(top)
                entry |= {"prediction": ranked[0][0], "probability": ranked[0][1], "probabilities": dict(ranked)}
            file.write(",\n" if counts else "\n")
            file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False))
            counts[readable] += 1

        yield add
        file.write(f"\n], {json.dumps({'n': counts[True], 'quarantined': counts[False]})[1:]}\n")
        file.seek(0)
        shutil.copyfileobj(file, stream)
        stream.flush()


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def _fit(text: str, width: int) -> str:
    """``text`` in exactly ``width`` cells; a long one keeps its end, where names differ."""
    text = _one_line(text)
    if cell_len(text) > width:
        while cell_len(text) > width - 1:
            text = text[1:]
        text = f"…{text}"
    return set_cell_size(text, width)
