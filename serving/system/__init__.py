"""What the service manager of the system wants to know."""
