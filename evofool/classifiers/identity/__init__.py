"""What tells one victim from another: digests of weights, state and code."""
