"""Names of the files of a run folder."""

CONFIG = "config.yaml"
LOG = "log.jsonl"
TENSORBOARD = "tensorboard"
METRICS, PREDICTIONS, REPORT = "metrics.json", "predictions.json", "report.html"
COMPARISON = "comparison.json"
"""What `eval` adds: figures, detections, the page; what training is worth against the untrained model."""
