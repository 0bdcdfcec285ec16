"""Pure planning: local calendars, what is wanted, what is covered, which calls carry it."""
