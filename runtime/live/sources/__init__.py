"""Sources of frames: cameras, streams and pipes."""
