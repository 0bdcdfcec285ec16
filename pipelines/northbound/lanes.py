"""Lanes: what a call is for, as far as the quota cares."""

from typing import Final, Literal, get_args

Lane = Literal["asked", "fresh", "backlog"]
"""asked: a person's load; fresh: scheduled work that keeps the warehouse up to date; backlog: history that can
wait, and that leaves a reserve to the other two."""

LANES: Final[tuple[Lane, ...]] = get_args(Lane)
