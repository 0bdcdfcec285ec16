"""One page about a fleet: figures from the published warehouse, drawn without a network. Runs without Dagster."""
