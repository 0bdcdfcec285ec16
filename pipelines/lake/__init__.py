"""Where answers become data: decoding, validation, landing parts, Delta tables, coverage, the warehouse."""
