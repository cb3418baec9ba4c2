"""What a run folder holds: one module a kind of record."""
