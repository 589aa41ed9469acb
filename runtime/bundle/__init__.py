"""Bundle folders: manifest, graphs per precision and engines."""
