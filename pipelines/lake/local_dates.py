"""Local dates of instants and of the vendor's labels, a column at a time."""

from typing import Final, Literal

import polars as pl

LabelPeriod = Literal["day", "month", "year"]

LABEL_TOLERANCE_HOURS: Final = 12
"""Labels stand at local midnight, on some servers at the midnight of standard time in summer too: twelve
hours later it is the labelled day for both."""

_TRUNCATE: Final[dict[LabelPeriod, str]] = {"month": "1mo", "year": "1y"}


def local_dates(instants: pl.Series, zones: pl.Series, label_of: LabelPeriod | None) -> pl.Series:
    """The local date of each instant in the zone beside it.

    With `label_of` the instants are labels of reports: the date is that of the label's period, for months
    and years its first day. `zones` holds IANA names and no null.
    """
    instant = pl.col("instant")
    if label_of is not None:
        instant = instant + pl.duration(hours=LABEL_TOLERANCE_HOURS)
    date = pl.coalesce(
        pl.when(pl.col("zone") == zone).then(instant.dt.convert_time_zone(zone).dt.date())
        for zone in zones.unique(maintain_order=True)
    )
    if label_of in _TRUNCATE:
        date = date.dt.truncate(_TRUNCATE[label_of])
    frame = pl.DataFrame({"instant": instants, "zone": zones})
    if frame.is_empty():
        return pl.Series("local_date", [], dtype=pl.Date())
    return frame.select(date.alias("local_date"))["local_date"]
