"""The runs of a report against each other: which can be compared, what the statistics say, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolbox.api.errors import ToolboxError
from toolbox.evaluation.compare import SHOWN, Arm, ComparisonResult, arms_of, compare, paired
from toolbox.runs.folder import Run
from toolbox.runs.identity import differences, identity
from toolbox.settings.schema import known_names

ALL_METRICS = 4
"""Arms up to which they are compared by every metric; more by the deciding one alone: pairs grow with the square."""

DIFFERENCES, MARKS = 6, 2
"""Settings that are told where arms differ in more; those that an arm is named by."""

LABELS = {"model": "model", "train_on": "trained on", "weights": "weights", "augmented set": "augmented set"}
"""What is shown of an experiment's identity beside its settings."""


def comparisons(runs: Sequence[Run]) -> tuple[list[ComparisonResult], list[str]]:
    """Every set of ``runs`` that was tested on the same images, compared; and why others were not."""
    compared, errors = [], []
    sets, reasons = _comparable(runs)
    for members in sets:
        try:
            compared += [_named(members)] if len(members) > 1 else []
        except ToolboxError as error:
            errors.append(f"{members[0].id} and {len(members) - 1} more: {error}")
    return compared, [*reasons, *errors]


def _comparable(runs: Sequence[Run]) -> tuple[list[list[Run]], list[str]]:
    """Runs by the images that they were tested on, and why each new set had to be begun."""
    sets: list[list[Run]] = []
    reasons: list[str] = []
    for run in runs:
        why = ""
        for members in sets:
            try:
                paired(members[0], run)
                members.append(run)
                break
            except ToolboxError as error:
                why = why or str(error)
        else:
            sets.append([run])
            reasons += [why] if why else []
    return sets, reasons


def _named(members: Sequence[Run]) -> ComparisonResult:
    """``members`` compared, with arms called by what tells them apart."""
    arms = arms_of(members)
    result = compare(members, SHOWN if len(arms) <= ALL_METRICS else SHOWN[:1])
    differing = _differing(arms)
    names = {arm.letter: _name(arm, at, differing) for at, arm in enumerate(arms)}
    details = [f"{what} ({_listed(values)})" for what, values in differing.items()]
    notes = [*([f"what differs: {'; '.join(details[:DIFFERENCES])}"] if details else []), *result.notes]
    if result.deciding:
        notes.append(result.deciding.scope_words)
    return replace(
        result,
        arms=tuple(replace(arm, name=names[arm.letter]) for arm in result.arms),
        comparisons=tuple(
            replace(each, names=(names[each.letters[0]], names[each.letters[1]])) for each in result.comparisons
        ),
        notes=tuple(notes),
    )


def _differing(arms: Sequence[Arm]) -> dict[str, list[str]]:
    """What differs between the arms, with each arm's value."""
    records = [arm.runs[0].record for arm in arms]
    first, *others = [identity(record) for record in records]
    names = {name for other in others for name in differences(first, other)}
    values = [{**identity(record), "augmented set": record.augmented_set or "–"} for record in records]
    return {
        LABELS.get(name, name): [str(each[name]) for each in values]
        for name in (*LABELS, *known_names())
        if name in names and name != "training.train_on"
    }


def _name(arm: Arm, at: int, differing: Mapping[str, Sequence[str]]) -> str:
    """A run by its id; several by their model, and what tells them from the other arms."""
    if len(arm.runs) == 1:
        return arm.runs[0].id
    marks = [f"{what} {values[at]}" for what, values in differing.items() if what != "model"]
    return ", ".join([arm.runs[0].record.model, *marks[:MARKS], f"{len(arm.runs)} seeds (arm {arm.letter})"])


def _listed(values: Sequence[str]) -> str:
    unique = list(dict.fromkeys(values))
    return ", ".join(unique[:5]) + (", …" if len(unique) > 5 else "")
