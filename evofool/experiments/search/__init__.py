"""Ways to search for fooling pictures, compared at the same number of evaluations."""
