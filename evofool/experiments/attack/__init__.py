"""``kind: attack``: attacks on images against one classifier."""
