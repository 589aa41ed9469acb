"""Data plane of models, queues and workers."""
