"""Restoration of video files, frame by frame.

A source yields frames with their times, the frames pass through three threads, and a sink takes them restored. Whoever
has frames from elsewhere, or wants them elsewhere, gives another source or another sink to `pipeline.run_stages`.
"""
