"""The far side of the media bench: callers with speech on RTP, an agent's voice on NATS, and a brain that says Play."""
