"""Attacks that learn a substitute from the victim's labels and attack that."""
