"""What the options of commands are: listed, and refused where a model does not read them."""
