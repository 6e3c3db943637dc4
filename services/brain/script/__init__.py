"""The deterministic dialogue: an agent's script answers, without a key and without a network."""
