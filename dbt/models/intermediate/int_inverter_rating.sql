{{ config(materialized='table') }}
-- How large each inverter is: DC by its daily report, AC by the owner or by what it has given.
with sizes as (

    select
        device_id,
        arg_max(installed_capacity_kwp, local_date) as report_kwp
    from {{ ref('stg_device_daily') }}
    where installed_capacity_kwp > 0
    group by device_id

),

capacity as (

    select
        plant_code,
        arg_max(p0_kwp, local_date) as p0_kwp
    from {{ ref('int_plant_report_day') }}
    where p0_kwp is not null
    group by plant_code

),

powers as (

    select
        device_id,
        unnest(top_powers_kw) as power_kw,
        sum(power_rows) over (partition by device_id) as power_rows,
        count(*) over (partition by device_id) as power_days
    from (
        select *
        from {{ ref('int_inverter_day') }}
        qualify local_date > max(local_date) over (partition by device_id) - 365
    )

),

ranked as (

    select
        *,
        row_number() over (
            partition by device_id
            order by power_kw desc
        ) as place
    from powers

),

percentiles as (

    -- The smallest power that 99.9 % of all readings do not exceed.
    select
        device_id,
        max(power_kw) filter (where place = power_rows - ceil(0.999 * power_rows) + 1) as power_kw,
        any_value(power_days) as power_days
    from ranked
    group by device_id

),

inverters as (

    select
        devices.plant_code,
        devices.device_id,
        devices.device_type_id,
        -- One that was replaced no longer has a share of the plant.
        count(*) filter (where devices.retired_at_utc is null) over (partition by devices.plant_code) as inverter_count
    from {{ ref('stg_devices') }} as devices
    where devices.device_type_id in (1, 38)

)

select
    inverters.plant_code,
    inverters.device_id,
    inverters.device_type_id,
    coalesce(sizes.report_kwp, capacity.p0_kwp / nullif(inverters.inverter_count, 0)) as p0_kwp,
    case
        when sizes.report_kwp is not null then 'device_report'
        when capacity.p0_kwp is not null then 'share_of_plant'
    end as p0_source,
    -- Three digits, so that the rating stands still while a year of powers moves on.
    coalesce(
        overrides.ac_kw,
        round(percentiles.power_kw, 2 - floor(log10(nullif(percentiles.power_kw, 0)))::integer)
    ) as ac_kw,
    case
        when overrides.ac_kw is not null then 'devices_file'
        when percentiles.power_kw > 0 then 'percentile_99_9'
    end as ac_kw_source,
    coalesce(percentiles.power_days, 0) as power_days,
    -- The highest powers of a few weeks are what the season gave, not where the inverter clips.
    overrides.ac_kw is not null or coalesce(percentiles.power_days >= {{ var('rating_days') }}, false)
        as ac_kw_is_rating
from inverters
left join sizes
    on inverters.device_id = sizes.device_id
left join capacity
    on inverters.plant_code = capacity.plant_code
left join percentiles
    on inverters.device_id = percentiles.device_id
left join {{ source('ops', 'device_overrides') }} as overrides
    on inverters.device_id = overrides.device_id
