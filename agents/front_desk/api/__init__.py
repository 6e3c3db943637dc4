"""A small booking system for the clinic: what an operator's own business system is to a real agent."""
