"""Programs that run plugins and engines on a GPU."""
