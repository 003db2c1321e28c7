"""Speed and memory, measured beside references: `make bench`."""
