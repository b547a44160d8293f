"""The commands of text.py, one file each, and what only they use."""
