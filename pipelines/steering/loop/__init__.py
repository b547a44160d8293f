"""A model drives, and what it sees next follows from what it said."""
