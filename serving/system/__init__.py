"""Messages to the system's service manager."""
