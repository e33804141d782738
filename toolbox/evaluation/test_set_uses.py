"""How often each test set of a workspace was looked at: ``looks.jsonl``, a line a look.

A choice made by a test set's figures fits that test set: one used forty times is a validation set (Dwork et al., "The
reusable holdout", Science 349, 2015). Every evaluation on held-out samples counts as a look, whichever run it is of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from toolbox.files import atomic, fingerprint
from toolbox.runs.folder import Run
from toolbox.runs.predictions import Predictions

FILE_NAME = "looks.jsonl"
MANY = 20
"""From this many looks on, the test set is called what it has become."""


@dataclass(frozen=True)
class Looks:
    """``count`` looks at one test set by all the runs of a workspace, ``by_run`` of them by one run."""

    test_set: str
    count: int
    by_run: int

    @property
    def words(self) -> str:
        """A sentence for people."""
        text = "this test set was looked at " + ("once" if self.count == 1 else f"{self.count:,} times")
        if self.count < MANY:
            return text
        return f"{text}; used so often it is a validation set: keep some images that no run has seen"


def test_set(predictions: Predictions) -> str:
    """SHA-256 over the sorted (id, label) of the samples: the same for pictures that were merely prepared anew."""
    return fingerprint.of_rows(zip(predictions.ids, predictions.labels, strict=True))


def look(workspace: Path, run: Run, predictions: Predictions) -> Looks:
    """Count a look of ``run`` at the samples of ``predictions``; how many there are now.

    Raises
    ------
    EnvironmentFailure: the file can't be written.
    """
    name, path = test_set(predictions), workspace / FILE_NAME
    line = json.dumps({"test_set": name, "run": run.id, "n": len(predictions.ids)})
    # One short line appended at once: several processes may do so without a lock.
    with atomic.translate_os_errors("write", path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return counted(workspace, run.id, name)


def counted(workspace: Path, run_id: str, test_set: str) -> Looks:
    """The looks at ``test_set`` so far; lines that were cut off or spoilt are left out."""
    path = workspace / FILE_NAME
    found = []
    if path.is_file():
        with atomic.translate_os_errors("read", path):
            lines = path.read_text("utf-8", errors="replace").splitlines()
        for text in lines:
            try:
                document = json.loads(text)
            except ValueError:
                continue
            if isinstance(document, dict) and document.get("test_set") == test_set:
                found.append(document.get("run"))
    return Looks(test_set, len(found), found.count(run_id))


def of_run(run: Run) -> Looks | None:
    """The looks at the test set that ``run`` was evaluated on; ``None`` where it kept no word of it."""
    kept = run.evaluation.get("looks")
    return counted(run.path.parent.parent, run.id, kept["test_set"]) if isinstance(kept, dict) else None
