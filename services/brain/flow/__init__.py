"""Flows: the parts of a call that are not left to a model, as data (flows.yaml)."""
