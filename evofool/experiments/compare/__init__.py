"""``kind: compare``: evolution, gradients, queries and chance on the same nets at one cost."""
