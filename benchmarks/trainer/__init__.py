"""What the trainer costs: `python -m benchmarks.trainer`."""
