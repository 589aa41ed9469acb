"""Facts about the machine: processor, GPUs and load."""
