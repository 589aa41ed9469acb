"""Gate before an engine is put into a bundle."""
