"""Facts about the machine."""
