"""Checks of what was published: complete, fresh, consistent, plausible, readable, allowed, not left behind.

A check is a function of a read-only look at the published warehouse and returns a frozen outcome; nothing here knows
Dagster, writes, or asks the vendor. `CHECKS` in `pipelines.checks.catalog` names all of them.
"""
