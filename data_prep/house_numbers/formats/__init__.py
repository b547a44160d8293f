"""One reader a format; each says what it recognises and reads it as a table."""
