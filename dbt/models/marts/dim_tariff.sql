-- The owner's prices for each plant: its own rows, else those that speak of every plant.
with plants as (

    select
        plants.plant_code,
        bool_or(tariffs.plant_code is not null) as has_own
    from {{ ref('stg_plants') }} as plants
    left join {{ source('ops', 'tariffs') }} as tariffs
        on plants.plant_code = tariffs.plant_code
    group by plants.plant_code

)

select
    plants.plant_code,
    coalesce(tariffs.valid_from, date '1900-01-01') as valid_from,
    coalesce(tariffs.valid_to, date '2200-01-01') as valid_to,
    tariffs.purchase_price_per_kwh,
    tariffs.feed_in_price_per_kwh,
    tariffs.standing_charge_per_day,
    tariffs.currency,
    tariffs.plant_code is null as is_for_every_plant
from plants
inner join {{ source('ops', 'tariffs') }} as tariffs
    on
        plants.plant_code = tariffs.plant_code
        or (tariffs.plant_code is null and not plants.has_own)
