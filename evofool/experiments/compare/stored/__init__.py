"""Searches that run folders hold already, read for a comparison: nothing is scored again."""
