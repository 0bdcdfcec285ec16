"""The merged 5-minute staging models: history, and real-time samples where there is no history (yet).

Rule of a sample. A poll stands for the 5-minute slot in which it was made: the server renews its values every 5
minutes (reference 5.1.2.2, 8.4) and sends no time of measurement. Of several polls in a slot the last counts.
History wins, slot by slot. A device gives no sample where

* it is disconnected: its `run_state` is 0, its own state says that nobody hears it (`OFFLINE`), or it sends no value;
* it is frozen: power, current or irradiance isn't zero, and yet every figure is what it was in the poll before, with
  at least `TELLING` figures that aren't zero. Fewer, or a device at rest, may repeat themselves by chance. The first
  poll of a local day is held against the one after it, so that each day can be read alone.

The rule is worked once for each polled day, in `int_poll_day`; the merged models only pick what it chose. While nothing
was ever polled of a type, its merged model is its history alone.
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
    sent = "\n".join(f"    {name}," for name in history)
    polled = "\n".join(f"    {_polled(name, frozenset(realtime))}," for name in history)
    return f"""{{% if '{kind.name}' in polled_tables() -%}}
with samples as not materialized (

    select
        plant_code,
        device_id,
        local_date,
        unnest(sample_polls) as polled_at_utc
    from {{{{ ref('int_poll_day') }}}}
    where device_type_id = {kind.id}

)

select
{sent}
    'history' as source
from {{{{ ref('stg_device_history_{kind.name}') }}}}
union all
select
{polled}
    'realtime' as source
from {{{{ ref('stg_device_realtime_{kind.name}') }}}} as polls
inner join samples
    on
        polls.plant_code = samples.plant_code
        and polls.device_id = samples.device_id
        and polls.local_date = samples.local_date
        and polls.polled_at_utc = samples.polled_at_utc
{{%- else -%}}
select
    *,
    'history' as source
from {{{{ ref('stg_device_history_{kind.name}') }}}}
{{%- endif %}}
"""  # noqa: S608 (a template of dbt; names are ours)


def poll_rules_sql() -> str:
    """The macro `poll_rules`: for each merged type, what of a poll's columns says that it is a sample."""
    rules = ",\n".join(_rule(kind) for kind in merged_types())
    about = "{# For each device type that is polled: who is heard, what can't repeat itself, and all figures. #}"
    return f"{about}\n{{% macro poll_rules() -%}}\n    {{{{ return([\n{rules}\n    ]) }}}}\n{{%- endmacro %}}\n"


def _rule(kind: DeviceType) -> str:
    table = TABLES[f"device_realtime_{kind.name}"]
    return f"""        {{
            'table': '{kind.name}',
            'device_type_id': {kind.id},
            'is_heard': "{_heard(table)}",
            'is_telling': "{_telling(table)}",
            'figures': "{_listed(_figures(table))}"
        }}"""


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
    slot = "{{ slot_of('polls.polled_at_utc') }}"
    if name == "collect_time_utc":
        return f"{slot} as collect_time_utc"
    if name == "local_time":
        return f"polls.local_time - (polls.polled_at_utc - {slot}) as local_time"
    return f"polls.{name}" if name in known else f"null as {name}"
