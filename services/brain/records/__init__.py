"""What is kept of calls: told as events on the bus, written into SQL by a recorder, read back and erased."""
