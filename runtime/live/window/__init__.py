"""Window that shows restored frames where there is a screen."""
