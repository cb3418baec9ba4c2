"""``kind: defend``: a defense, evaluated by attacks, gradient-masking tests and evolution."""
