"""``kind: transfer``: does what fools one net fool another? Sources by targets."""
