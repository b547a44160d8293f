"""Readers of recordings, one format a file."""
