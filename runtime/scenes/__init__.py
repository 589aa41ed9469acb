"""Memory of what earlier frames of a video showed."""
