"""The records of a run folder, one module for each kind of record."""
