"""Row programs of dense graphs."""
