"""Looks at everything that a load needs, from the machine to each permission; every finding says what to do."""
