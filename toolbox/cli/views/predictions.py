"""What ``toolbox predict`` gives out, image by image: lines for people, a CSV table, a JSON document."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from toolbox.data.index import QuarantinedSample

if TYPE_CHECKING:
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.models.predict import Predicted
    from toolbox.workspace import Predictions

_BAR, _LABEL, _PERCENT = 20, 24, len("100.0 %")
_IN_MEMORY = 16_000_000


class Output(Protocol):
    """Where results go, one after the other."""

    def add(self, result: Predicted | QuarantinedSample) -> None:
        """Take in the next image's result."""


def outputs(
    found: Predictions, terminal: Terminal, stack: ExitStack, table: str | None, top: int | None
) -> tuple[list[Output], bool]:
    """The outputs that were asked for, closed with ``stack``; and whether a bar has room beside them."""
    chosen: list[Output] = []
    if table is not None:
        chosen.append(stack.enter_context(_csv(table, found.classes, top)))
    if terminal.as_json:
        chosen.append(stack.enter_context(_json(found, top, terminal.document_stream)))
    if chosen or terminal.quiet:
        return chosen, table != "-"
    return [stack.enter_context(_lines(found, terminal, top))], False


def where(as_json: bool, table: str | None) -> str:
    """Where a person finds every file that could not be read."""
    if table is not None:
        return "the table" if table == "-" else table
    return "the document" if as_json else "the list above"


class Lines:
    """A line an image: path, class, probability, a bar. Nothing is cut off unless a terminal is too narrow."""

    def __init__(self, found: Predictions, terminal: Terminal, top: int | None) -> None:
        self._console = terminal.results
        self._top = top or 1
        self._label = min(_LABEL, max(map(len, found.classes)))
        longest = max((len(str(path)) for path in found.paths), default=0)
        room = self._console.width - self._label - _PERCENT - _BAR - 6
        self._path = min(longest, max(room, 12)) if self._console.is_terminal else longest
        self.classes: Counter[str] = Counter()

    def add(self, result: Predicted | QuarantinedSample) -> None:
        """See :class:`Output`."""
        from rich.text import Text

        path = _fitted(result.path, self._path)
        if isinstance(result, QuarantinedSample):
            self._print(Text.assemble(path, "  ", (f"can't be read: {_clean(result.reason)}", "yellow")))
            return
        ranked = result.ranked(self._top)
        self.classes[ranked[0][0]] += 1
        for number, (label, probability) in enumerate(ranked):
            self._print(
                Text.assemble(
                    path if number == 0 else " " * self._path,
                    "  ",
                    (_fitted(label, self._label), "bold" if number == 0 else ""),
                    f"  {_percent(probability):>{_PERCENT}}  ",
                    ("█" * round(probability * _BAR), "cyan" if number == 0 else "dim"),
                )
            )

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def sum_up(self) -> None:
        """A last line: how many images of each class."""
        from rich.text import Text

        counts = ", ".join(f"{count:,} {_clean(label)}" for label, count in self.classes.most_common())
        number = self.classes.total()
        if number > 1:
            self._print(Text(f"{number:,} images: {counts}", "dim"))


class Table:
    """CSV: path, prediction, probability, one column a class, and why a file could not be read.

    With ``top``, prediction and probability of the second likeliest class and so on take the classes' place.
    """

    def __init__(self, file: IO[str], classes: Sequence[str], top: int | None) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._top = min(top, len(classes)) if top else None
        if self._top:
            names = [f"{name}{place}" for place in range(2, self._top + 1) for name in ("prediction", "probability")]
        else:
            names = [f"p:{name}" for name in classes]
        self._empty = [""] * (len(names) + 2)
        self._writer.writerow(["path", "prediction", "probability", *names, "problem"])

    def add(self, result: Predicted | QuarantinedSample) -> None:
        """See :class:`Output`."""
        if isinstance(result, QuarantinedSample):
            self._writer.writerow([result.path, *self._empty, result.reason])
            return
        ranked = result.ranked(self._top or 1)
        cells = [cell for label, probability in ranked for cell in (label, repr(probability))]
        if not self._top:
            cells += [repr(float(value)) for value in result.probabilities]
        self._writer.writerow([result.path, *cells, ""])


class Document:
    """The one JSON document, kept (beyond some megabytes on the disk) until it is whole."""

    def __init__(self, file: IO[str], found: Predictions, top: int | None) -> None:
        self._file, self._top = file, top
        self._count, self._unreadable = 0, 0
        run = found.run
        head = {"schema": 1, "run": run.id, "model": run.record.model, "classes": list(found.classes)}
        self._file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "images": [')

    def add(self, result: Predicted | QuarantinedSample) -> None:
        """See :class:`Output`."""
        if isinstance(result, QuarantinedSample):
            self._unreadable += 1
            entry: dict[str, object] = {"path": result.path, "problem": result.reason}
        else:
            ranked = result.ranked(self._top)
            label, probability = ranked[0]
            entry = {
                "path": result.path,
                "prediction": label,
                "probability": probability,
                "probabilities": dict(ranked),
            }
        self._file.write(",\n" if self._count else "\n")
        self._file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False))
        self._count += 1

    def close(self) -> None:
        """Write the end."""
        numbers = {"n": self._count - self._unreadable, "quarantined": self._unreadable}
        self._file.write(f"\n], {json.dumps(numbers)[1:]}\n")


@contextmanager
def _lines(found: Predictions, terminal: Terminal, top: int | None) -> Iterator[Lines]:
    lines = Lines(found, terminal, top)
    yield lines
    lines.sum_up()


@contextmanager
def _csv(table: str, classes: Sequence[str], top: int | None) -> Iterator[Table]:
    if table == "-":
        yield Table(sys.stdout, classes, top)
        return
    from toolbox.files.atomic import replace_file

    # Names that are no UTF-8 come out as the bytes they are.
    with (
        replace_file(Path(table)) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield Table(file, classes, top)


@contextmanager
def _json(found: Predictions, top: int | None, stream: IO[str]) -> Iterator[Document]:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="") as file:
        document = Document(file, found, top)
        yield document
        document.close()
        file.seek(0)
        shutil.copyfileobj(file, stream)
        stream.flush()


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _clean(text: str) -> str:
    from toolbox.report.wording import clean

    return " ".join(clean(text).split())


def _fitted(text: str, width: int) -> str:
    """``text`` in exactly ``width`` cells; of what is too long the end stays, where names differ."""
    from rich.cells import cell_len, set_cell_size

    text = _clean(text)
    if cell_len(text) > width:
        while cell_len(text) > width - 1:
            text = text[1:]
        text = f"…{text}"
    return set_cell_size(text, width)
