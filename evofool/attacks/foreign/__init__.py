"""Attacks of others: third parties' classes, and foolbox's through our Scorer."""
