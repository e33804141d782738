"""How often each test set of a workspace was evaluated on: ``looks.jsonl``, one line for each time.

A choice made by a test set's figures fits that test set: one used forty times is a validation set (Dwork et al., "The
reusable holdout", Science 349, 2015). Every evaluation on held-out samples counts, whichever run it is of.
"""

from __future__ import annotations

import json
from pathlib import Path

from toolbox.files import atomic, fingerprint
from toolbox.runs.evaluation import UseCount
from toolbox.runs.folder import Run
from toolbox.runs.predictions import Predictions

FILE_NAME = "looks.jsonl"


def count_use(workspace: Path, run: Run, predictions: Predictions) -> UseCount:
    """Note that ``run`` is evaluated on the samples of ``predictions``, and count the uses of these so far.

    Raises
    ------
    EnvironmentFailure: the file can't be written.
    """
    # By id and label: images that were merely prepared again are the same test set.
    test_set = fingerprint.of_rows(zip(predictions.ids, predictions.labels, strict=True))
    path = workspace / FILE_NAME
    line = json.dumps({"test_set": test_set, "run": run.id, "n": len(predictions.ids)})
    # One short line appended at once: several processes may do so without a lock.
    with atomic.translate_os_errors("write", path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return _read_uses(workspace, run.id, test_set)


def uses_of(run: Run) -> UseCount | None:
    """The uses so far of the test set that ``run`` was evaluated on; ``None`` where that is not known."""
    counted = run.evaluation.looks
    return _read_uses(run.path.parent.parent, run.id, counted.test_set) if counted else None


def _read_uses(workspace: Path, run_id: str, test_set: str) -> UseCount:
    """Count the lines of ``test_set``; damaged lines are left out."""
    path = workspace / FILE_NAME
    runs = []
    if path.is_file():
        with atomic.translate_os_errors("read", path):
            lines = path.read_text("utf-8", errors="replace").splitlines()
        for text in lines:
            try:
                document = json.loads(text)
            except ValueError:
                continue
            if isinstance(document, dict) and document.get("test_set") == test_set:
                runs.append(document.get("run"))
    return UseCount(test_set=test_set, count=len(runs), by_run=runs.count(run_id))
