"""Text: files and made-up tasks to batches of numbers."""
