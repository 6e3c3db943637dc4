"""Tools: what the agent can do in the operator's own systems: over HTTP, on MCP servers, in Python."""
