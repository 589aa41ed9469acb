"""Networks that label shadows in photographs without masks."""
