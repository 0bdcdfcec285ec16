"""Batches for what is read as of now: real-time values, active alarms, device lists [5.1.2.1, 5.1.2.2, 5.1.3.1]."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from pipelines.planning.cells import Subject

BATCH_SIZE: Final = 100
"""Plants, or devices of one type, that one such call takes; the three endpoints agree on it."""


def batches(subjects: Iterable[Subject], size: int = BATCH_SIZE) -> list[tuple[Subject, ...]]:
    """Return the subjects in groups of at most `size`, each of one device type (or plants), in given order."""
    by_type: dict[int | None, list[Subject]] = defaultdict(list)
    for subject in subjects:
        by_type[subject.device_type_id].append(subject)
    return [tuple(group[first : first + size]) for group in by_type.values() for first in range(0, len(group), size)]
