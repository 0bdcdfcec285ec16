-- The owner's targets for each plant and month: its own row, else the one that speaks of every plant.
select
    plants.plant_code,
    targets.month as month_start,
    targets.pv_energy_kwh as target_pv_energy_kwh,
    targets.specific_yield_kwh_kwp as target_specific_yield_kwh_kwp,
    targets.pr_pct as target_pr_pct,
    targets.availability_pct as target_availability_pct,
    targets.plant_code is null as is_for_every_plant
from {{ ref('stg_plants') }} as plants
inner join {{ source('ops', 'targets') }} as targets
    on plants.plant_code = targets.plant_code or targets.plant_code is null
qualify row_number() over (
    partition by plants.plant_code, targets.month
    order by targets.plant_code nulls last
) = 1
