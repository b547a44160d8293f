"""The commands of caption.py, one file each, and what only they use."""
