"""The load on one brain: callers who talk, and the models and tools that answer, all without sound."""
