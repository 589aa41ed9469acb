"""Cameras, streams and pipes that frames come from."""
