-- Each plant's month: sums of its days, and the vendor's own report of the month beside them, with the owner's targets.
-- Rules: docs/figures.md 2; columns: macros/plant_period.sql.
{{ plant_period('month', 'stg_plant_monthly') }}
