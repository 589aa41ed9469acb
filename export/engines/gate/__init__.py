"""Gate that every engine built here passes before it is in a bundle."""
