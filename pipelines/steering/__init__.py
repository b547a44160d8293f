"""The commands of steer.py, one file each, and what only they use."""
