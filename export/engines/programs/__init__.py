"""Programs that load engines, and commands for them."""
