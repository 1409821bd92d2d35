"""What mvc and its peers take in space and time, side by side. Run as `python -m benchmarks`."""
