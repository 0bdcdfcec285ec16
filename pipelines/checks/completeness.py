"""Whether devices sent what they should have: daylight for inverters and sensors, the whole day for the rest."""

from typing import Final

from pipelines.checks.look import Look
from pipelines.checks.outcome import Outcome, judged

COMPLETE_SHARE: Final = 0.95
"""docs/figures.md 2; the marts judge by the same share."""

_QUERY: Final = """
with listed as (
    select plant_code, device_id, device_sn, device_name, device_type_id,
        case
            when last_seen_at < max(last_seen_at) over (partition by plant_code) then last_seen_at
        end as gone_at
    from raw.devices
    where device_type_id in (1, 38, 10, 17, 47, 39, 41)
),
loaded as (
    -- Only days that were read for good: a running day has slots to come, and what wasn't asked for isn't missing.
    select days.*
    from staging.int_plant_day as days
    inner join ops.coverage as coverage
        on coverage.dataset = 'device_history'
        and coverage.plant_code = days.plant_code
        and coverage.period = days.local_date
    where coverage.state = 'final' and days.{chosen}
),
expected as (
    select loaded.plant_code, loaded.local_date, listed.device_id, listed.device_name, listed.device_type_id,
        case
            when listed.device_type_id in (1, 38) then loaded.inverter_slots
            when listed.device_type_id = 10 then loaded.sun_slots
            else loaded.day_slots
        end as slots
    from loaded
    inner join listed
        on listed.plant_code = loaded.plant_code
        and (listed.gone_at is null or loaded.day_start_utc <= listed.gone_at)
),
received as (
    select plant_code, local_date, device_id,
        case
            when kind = 'inverter' then inverter_daylight_rows when kind = 'emi' then sun_rows else day_rows
        end as slots
    from staging.int_device_day
    where {chosen}
)
select expected.plant_code, expected.local_date, expected.device_id, expected.device_name, expected.device_type_id,
    expected.slots as expected, coalesce(received.slots, 0) as received,
    round(least(1, coalesce(received.slots, 0) / expected.slots), 3) as share
from expected
left join received using (plant_code, local_date, device_id)
where expected.slots > 0
order by share, local_date desc, plant_code, device_id
"""


def completeness(look: Look) -> Outcome:
    """Device days that were read for good and hold less than COMPLETE_SHARE of their expected 5-minute slots."""
    found = look.rows(_QUERY.format(chosen=look.chosen))
    off = [each for each in found if each["share"] < COMPLETE_SHARE]
    mean = sum(each["share"] for each in found) / len(found) if found else None
    return judged(
        off,
        len(found),
        "device days",
        good=f"hold at least {COMPLETE_SHARE:.0%} of their expected 5-minute slots",
        bad=f"hold less than {COMPLETE_SHARE:.0%} of their expected 5-minute slots",
        look="Look at the communication of these devices on these days (dongle, logger, network); a device that sent "
        "nothing on any day may be switched off or replaced.",
        figures={**look.span, "completeness": None if mean is None else round(mean, 4)},
    )
