"""What needs several parts at once: benchmarks of the whole tool, and later comparisons."""
