-- From the year of the first day that anything is known of to the end of next year.
with bounds as (

    select
        date_trunc('year', coalesce(min(period), current_date))::date as first_day,
        (date_trunc('year', greatest(coalesce(max(period), current_date), current_date)) + interval 2 year)::date
            as end_day
    from {{ source('ops', 'coverage') }}

)

select
    day::date as local_date,
    year(day)::integer as year,
    quarter(day)::integer as quarter,
    month(day)::integer as month,
    strftime(day, '%Y-%m') as year_month,
    date_trunc('month', day)::date as month_start,
    day(last_day(day))::integer as days_in_month,
    day(day)::integer as day_of_month,
    dayofyear(day)::integer as day_of_year,
    isoyear(day)::integer as iso_year,
    weekofyear(day)::integer as iso_week,
    isodow(day)::integer as iso_weekday,
    isodow(day) > 5 as is_weekend
from bounds, range(bounds.first_day, bounds.end_day, interval 1 day) as days (day)
