"""Operators of the domain `spair`, with their facts and meaning."""
