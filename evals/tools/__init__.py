"""Bookings that are interrupted, retried and taken over, and whether any was made twice or lost."""

import os

# As services.common.rpc has it, but before any part of this package imports gRPC: its core writes lines of its own.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
