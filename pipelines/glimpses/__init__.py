"""The commands of house_numbers.py, one file each, and what only they use."""
