"""Writes the published warehouse out for other programs: whole tables, and frames in the words of open tools.

Reads nothing but the published database; runs without Dagster.
"""
