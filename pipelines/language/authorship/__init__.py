"""What the training of models of authors needs beside the command `author`."""
