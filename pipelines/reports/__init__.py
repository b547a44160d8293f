"""What the reports of all tasks share."""
