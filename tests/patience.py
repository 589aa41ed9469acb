"""Time that tests wait for what has to come.

A machine under load may be ten times slower than one's own, so no limit of a test is close to what it waits for. A test
waits for an event, such as a line, an answer or the end of a process; this is when it gives up on it.
"""

PATIENCE = 300.0
"""Seconds after which what was awaited is taken to never come; a test that passes never waits for them."""
