"""What proposals and seed masks are worth, of our stages and of any segmenter: `python -m benchmarks.cues`."""
