"""Traces and logs: names in one place, one way to set them up."""
