"""What each part of the method is worth, with it left out in turn: `python -m benchmarks.ablation.scenes` and
`python -m benchmarks.ablation.photographs`."""
