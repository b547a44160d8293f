"""Readers of captioned photographs, one format a file."""
