"""Which slices of a volume are taken."""

from __future__ import annotations


def select_slices(available: int, low: float, high: float, count: int) -> list[int]:
    """At most ``count`` slice numbers, evenly spaced from ``low`` to ``high`` (fractions of ``available`` slices).

    Halves are rounded up, so that the same slices are chosen on every machine.
    """
    if available < 1:
        return []
    first, last = low * (available - 1), high * (available - 1)
    if count == 1:
        return [int((first + last) / 2 + 0.5)]
    step = (last - first) / (count - 1)
    return sorted({int(first + step * place + 0.5) for place in range(count)})
