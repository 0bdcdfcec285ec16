"""First floor: rooms that run without Dagster, and the files at its top that wire them together."""
