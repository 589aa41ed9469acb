"""Facts and definitions of the `spair` operators."""
