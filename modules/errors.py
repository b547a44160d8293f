"""The one exception for everything a user can get wrong."""


class InputError(ValueError):
    """A file, folder, option or checkpoint the user gave is wrong.

    The message is a single line that names the file (and the line number), the cause and the remedy. The
    command line prints it and exits with status 2; a traceback would only hide it.
    """
