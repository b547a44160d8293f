"""Scores of sequences, without Java and without a model."""
