"""Experiments: attacks, defenses, retraining and cost functions, run by one engine.

Beside them: the benchmark of the whole tool, and the typed results that `evofool` returns.
"""
