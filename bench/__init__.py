"""Benches: real calls against a stack of their own; results with machine and limits."""
