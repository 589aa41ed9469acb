"""Templates, style, parts and plots of the HTML pages."""
