"""What `python -m bench.telemetry` is made of."""
