"""Second floor: Dagster. Assets, partitions, checks, resources and jobs over the rooms below."""
