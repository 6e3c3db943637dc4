"""The schema of all telemetry: every span, attribute, metric and label, with its meaning. docs/telemetry.md is made
from it, and the tests fail on what is not in it (DESIGN §9.7)."""
