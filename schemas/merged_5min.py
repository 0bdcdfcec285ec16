"""The merged 5-minute staging models: history, and real-time samples where there is no history (yet).

Rule of a sample. A poll stands for the 5-minute slot in which it was made: the server renews its values every 5
minutes (reference 5.1.2.2, 8.4) and sends no time of measurement. Of several polls in a slot the last counts.
History wins, slot by slot. A device gives no sample where

* it is disconnected: its `run_state` is 0, its own state says that nobody hears it (`OFFLINE`), or it sends no value;
* it is frozen: power, current or irradiance isn't zero, and yet every figure is what it was in the poll before, with
  at least `TELLING` figures that aren't zero. Fewer, or a device at rest, may repeat themselves by chance. The first
  poll of a local day is held against the one after it, so that each day can be read alone.
"""

from collections.abc import Sequence
from typing import Final

from schemas.device_types import DEVICE_TYPES, DeviceType
from schemas.items import DataItem
from schemas.tables import TABLES, Table

TELLING: Final = 4
"""So many figures that aren't zero don't repeat to the last digit while power flows."""

FLOW_UNITS: Final = frozenset({"W", "kW", "A", "W/m**2"})
"""Units of what flows: it never stands still for 5 minutes to the last digit of every figure."""

LIMITS: Final = frozenset({"max_charge_power", "max_discharge_power"})
"""Powers that are limits of the device and not flows."""

OFFLINE: Final = {
    "run_state": (0,),
    "meter_status": (0,),
    "battery_status": (0,),
    "inverter_state": (45056, 49152),
}
"""States of a device that isn't heard (5.1.2.2, table 5-2): what comes with them is old. By raw column."""

SOURCE_DESCRIPTION: Final = (
    "Where the sample is from: history (the vendor's 5-minute data) or realtime (a poll, in a slot that history lacks)."
)


def merged_types() -> tuple[DeviceType, ...]:
    """Device types with both history and real time."""
    return tuple(each for each in DEVICE_TYPES.values() if each.history and each.realtime)


def merged_name(kind: DeviceType) -> str:
    """Name of the model of one type."""
    return f"stg_device_5min_{kind.name}"


def merged_description(kind: DeviceType) -> str:
    """What the model holds."""
    return (
        f"5-minute samples of devices of type {kind.id}, {kind.label}: the vendor's history, and where it has none, "
        "what was polled in real time, filed under the start of its 5-minute slot. A device that is disconnected or "
        "frozen gives no sample in real time. Columns that only history knows are null in polled rows. "
        "One row per device and collect_time_utc."
    )


def merged_sql(kind: DeviceType, history: Sequence[str], realtime: Sequence[str]) -> str:
    """The model of one type; `history` and `realtime` are the columns of its two staging models, in order."""
    table = TABLES[f"device_realtime_{kind.name}"]
    sent = "\n".join(f"    {name}," for name in history)
    polled = "\n".join(f"    {_polled(name, frozenset(realtime))}," for name in history)
    return f"""with history as not materialized (

    select * from {{{{ ref('stg_device_history_{kind.name}') }}}}

),

slots_of_history as not materialized (

    select
        device_id,
        local_date,
        to_timestamp(300 * floor(epoch(collect_time_utc) / 300)) as slot_utc
    from history

),

-- What is told of a poll is reckoned before the windows, which then carry three columns of it and not all figures.
polls as not materialized (

    select
        *,
        to_timestamp(300 * floor(epoch(polled_at_utc) / 300)) as slot_utc,
        {_heard(table)} as is_heard,
        {_telling(table)} as is_telling,
        hash({_listed(_figures(table))}) as figures
    from {{{{ ref('stg_device_realtime_{kind.name}') }}}}

),

compared as not materialized (

    select
        *,
        coalesce(lag(figures) over polls_of_day, lead(figures) over polls_of_day) as other_figures
    from polls
    window polls_of_day as (partition by device_id, local_date order by polled_at_utc)

),

samples as not materialized (

    select *
    from compared
    where
        is_heard
        and not (is_telling and coalesce(figures = other_figures, false))
    qualify row_number() over (partition by device_id, local_date, slot_utc order by polled_at_utc desc) = 1

)

select
{sent}
    'history' as source
from history
union all
select
{polled}
    'realtime' as source
from samples
-- A filter on local_date reaches both sides of an outer join, which it doesn't through `not exists`.
left join slots_of_history
    on
        samples.device_id = slots_of_history.device_id
        and samples.local_date = slots_of_history.local_date
        and samples.slot_utc = slots_of_history.slot_utc
where slots_of_history.device_id is null
"""  # noqa: S608 (a template of dbt; names are ours)


def _figures(table: Table) -> list[str]:
    return [each.staging_column for each in table.items]


def _values(table: Table) -> list[DataItem]:
    return [each for each in table.items if each.kind == "value"]


def _heard(table: Table) -> str:
    """True for a device that is connected."""
    condition = f"coalesce({_listed([each.staging_column for each in _values(table)])}) is not null"
    for item in table.items:
        if item.column in OFFLINE:
            codes = ", ".join(str(code) for code in OFFLINE[item.column])
            condition += f"\n        and coalesce({item.staging_column} not in ({codes}), true)"
    return condition


def _telling(table: Table) -> str:
    """True where the same figures again mean a frozen device; never for a type with too few figures."""
    values = [each.staging_column for each in _values(table)]
    flows = [each.staging_column for each in _values(table) if each.unit in FLOW_UNITS and each.column not in LIMITS]
    if len(values) < TELLING or not flows:
        return "false"
    flowing = "\n            or ".join(f"coalesce({each} != 0, false)" for each in flows)
    not_zero = "\n            + ".join(f"coalesce(({each} != 0)::integer, 0)" for each in values)
    return f"(\n            {flowing}\n        ) and (\n            {not_zero}\n        ) >= {TELLING}"


def _listed(names: Sequence[str]) -> str:
    """Names, a line each, as the arguments of a function in a select list."""
    inner = ",\n".join(f"            {each}" for each in names)
    return f"\n{inner}\n        "


def _polled(name: str, known: frozenset[str]) -> str:
    if name == "collect_time_utc":
        return "samples.slot_utc as collect_time_utc"
    if name == "local_time":
        return "samples.local_time - (samples.polled_at_utc - samples.slot_utc) as local_time"
    return f"samples.{name}" if name in known else f"null as {name}"
