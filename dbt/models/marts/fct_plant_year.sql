-- Each plant's year: sums of its days, and the vendor's own report of the year beside them.
-- Rules: docs/figures.md 2; columns: macros/plant_period.sql.
{{ plant_period('year', 'stg_plant_yearly') }}
