"""Restoration of cameras and streams as they come.

A thread captures frames and keeps the newest one alone, the main thread restores it, and a third one hands it on. So
the result is as close to the present as the machine allows. Frames for which there is no time are dropped and counted.
"""
