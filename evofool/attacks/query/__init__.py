"""Attacks that only ask the victim for scores."""
