"""`predict --engine ray`: Ray Data shares the pictures out, restarts what dies, spills what does not fit."""
