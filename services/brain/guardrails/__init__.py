"""What the agent must not be talked into, say, or go on with."""
