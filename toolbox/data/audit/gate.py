"""The leak gate: what training is told of an audit, and when it is refused."""

from __future__ import annotations

from toolbox.api.errors import Refused
from toolbox.api.progress import Reporter
from toolbox.data.audit.findings import KINDS, Audit

_WAYS = (
    "See audit.html. 'toolbox data split --drop-leaks' takes the training side out, --group-duplicates keeps"
    " duplicates on one side; --allow-leaks trains anyway and marks the run as leaky for good."
)


def describe_leaks(audit: Audit) -> str:
    """The leaks in one sentence: how many of each kind, and one of them."""
    counts = ", ".join(f"{count:,} × {KINDS[kind]}" for kind, count in audit.counts().items())
    first = audit.leaks[0]
    other = next(place for place, split in enumerate(first.splits) if split != first.splits[0])
    shown = f"{first.paths[0]} in {first.splits[0]}, {first.paths[other]} in {first.splits[other]}"
    return f"{len(audit.leaks):,} leak{'s' * (len(audit.leaks) > 1)} between the splits: {counts} (for one, {shown})"


def check(audit: Audit, *, allowed: bool, on_purpose: bool, reporter: Reporter) -> None:
    """Refuse to train over a leak unless that is ``allowed`` or the split protocol leaks ``on_purpose``.

    Raises
    ------
    Refused: there is a leak.
    """
    if on_purpose:
        reporter.warn("split.protocol = augment-then-split leaks on purpose: run and reports are marked leaky")
    elif audit.leaks and allowed:
        reporter.warn(f"{describe_leaks(audit)}; run and reports are marked leaky")
    elif audit.leaks:
        raise Refused(describe_leaks(audit), _WAYS)
