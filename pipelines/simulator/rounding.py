"""How the served numbers are rounded, and the randomness that decides them.

What a row shows is the truth that tests compare with; what the model keeps is finer.
"""

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POWER_DIGITS: Final = 3
"""Inverters and meters show kW to the watt."""

ENERGY_DIGITS: Final = 2
"""Counters and reports show kWh to ten watt-hours."""


def generator(*parts: object) -> np.random.Generator:
    """A generator that depends on the parts alone, alike in every process (unlike `hash`)."""
    text = "|".join(str(part) for part in parts)
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())))


def jitter(times: NDArray[np.int64], salt: int) -> Floats:
    """Noise in [-1, 1) that hangs on the instant alone, whatever window it is asked through."""
    phase = (times // 300_000 % 1_000_003) * 12.9898 + salt * 78.233
    return np.asarray(np.modf(np.abs(np.sin(phase)) * 43758.5453)[0] * 2 - 1, dtype=np.float64)


def rounded(values: Floats, digits: int) -> list[Any]:
    """Values as served: rounded floats, with no negative zero."""
    result: list[Any] = (np.round(values, digits) + 0.0).tolist()
    return result
