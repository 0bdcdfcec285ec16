"""Wires the rooms into one load: inventory, what is wanted, calls, landing, fold, warehouse. Runs without Dagster."""
