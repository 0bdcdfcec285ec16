"""All checks: on which table, what each says, and the function that looks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipelines.checks import agreement, balances, completeness, conventions, freshness, loaded, values
from pipelines.checks.look import Look
from pipelines.checks.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one asset (schema and name, as in Dagster). WARN and ERROR follow one rule: `outcome.judged`."""

    name: str
    asset: tuple[str, str]
    description: str
    look: Callable[[Look], Outcome]

    @property
    def key(self) -> tuple[tuple[str, str], str]:
        """Asset and name: unique."""
        return self.asset, self.name


PERIODIC: Final = (
    *("device_history", "plant_hourly", "plant_daily", "plant_monthly", "plant_yearly"),
    *("device_daily", "device_monthly", "device_yearly"),
)
"""Datasets with a past, of which periods can be left behind."""

FRESH: Final = ("device_history", "plant_hourly", "plant_daily", "device_daily")
POLLED: Final = ("plant_realtime", "device_realtime")
RANGED: Final = ("device_history", "plant_hourly", "plant_daily", "device_daily")


def _raw(name: str) -> tuple[str, str]:
    return "raw", name


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "completeness",
        _raw("device_history"),
        "Each device that was read for good sent at least 95 % of its expected 5-minute slots: those of daylight for "
        "inverters and sensors, all 276, 288 or 300 of the local day for meters and batteries.",
        completeness.completeness,
    ),
    *(
        Check(
            "freshness",
            _raw(name),
            "Each plant has data of the last local day that is over and settled, by the data's own timestamps.",
            freshness.freshness_of(name),
        )
        for name in FRESH
    ),
    *(
        Check(
            "freshness",
            _raw(name),
            "While polling goes on, the newest poll is at most 15 minutes old, by the server's own time.",
            freshness.polling_of(name),
        )
        for name in POLLED
    ),
    Check(
        "yield_against_counters",
        _raw("plant_daily"),
        "The reported AC yield is what the inverters' own counters say, within 5 %.",
        balances.yield_against_counters,
    ),
    Check(
        "grid_against_meters",
        _raw("plant_daily"),
        "Reported feed-in and purchase are what the grid meter's own counters say, within 5 %.",
        balances.grid_against_meters,
    ),
    Check(
        "battery_against_devices",
        _raw("plant_daily"),
        "Reported charge and discharge are what the batteries' own reports say, within 5 %.",
        balances.battery_against_devices,
    ),
    Check(
        "conversion_loss",
        _raw("device_history"),
        "Between MPPT counters and AC counter, batteries counted in, at most 12 % is lost and nothing is gained.",
        balances.conversion_loss,
    ),
    Check(
        "counters_against_hours",
        _raw("plant_hourly"),
        "Hour by hour, the reported yield is what the inverters' counters say, within 10 % of the day.",
        agreement.counters_against_hours,
    ),
    Check(
        "hours_against_day",
        _raw("plant_hourly"),
        "The hours add up to the daily report, within 2 %.",
        agreement.hours_against_day,
    ),
    Check(
        "days_against_month",
        _raw("plant_monthly"),
        "The days of a whole month add up to the monthly report, within 2 %.",
        agreement.parts_against("plant_daily", "plant_monthly", "month", "day"),
    ),
    Check(
        "months_against_year",
        _raw("plant_yearly"),
        "The months of a whole year add up to the yearly report, within 2 %.",
        agreement.parts_against("plant_monthly", "plant_yearly", "year", "month"),
    ),
    Check(
        "counters_fall",
        _raw("device_history"),
        "No counter that runs for a device's whole life is lower than at the reading before.",
        values.counters_fall,
    ),
    *(
        Check(
            "plausible_values",
            _raw(name),
            "Every value lies in the catalog's plausible range.",
            values.plausible_of(name),
        )
        for name in RANGED
    ),
    Check(
        "conventions",
        ("ops", "conventions"),
        "Signs, units and counters of meters and batteries are what the owner says and the evidence has always said.",
        conventions.conventions,
    ),
    Check(
        "drift",
        ("ops", "schema_drift"),
        "The answers of the last week held no key that the catalog doesn't know, and no text where a number belongs.",
        values.drift,
    ),
    Check(
        "quarantine_growth",
        ("ops", "quarantine"),
        "No record of the last day had to be set aside.",
        values.quarantine_growth,
    ),
    *(
        Check(
            "refused",
            _raw(name),
            "The vendor refuses nothing of this dataset.",
            loaded.refused_of(name),
        )
        for name in PERIODIC
    ),
    *(
        Check(
            "left_behind",
            _raw(name),
            "Nothing that is wanted is missing while nobody asks for it, or provisional for days too long.",
            loaded.left_behind_of(name),
        )
        for name in PERIODIC
    ),
)
"""Every check."""
