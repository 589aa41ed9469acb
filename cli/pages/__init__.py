"""Templates and charts of the HTML pages."""
