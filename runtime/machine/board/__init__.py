"""Facts about Jetson boards, and findings with remedies."""
