"""Drawn scenes with captions: a data set that needs no download."""
