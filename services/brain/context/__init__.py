"""What goes to the model: in which order, how much, and what of the call."""
