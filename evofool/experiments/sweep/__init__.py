"""A sweep: the same campaign, attack or defense with every combination of some values and seeds."""
