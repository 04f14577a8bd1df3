"""The one error that a user's input can cause."""


class InputError(Exception):
    """Bad input from the user.

    The message names the file or field, says what is wrong and what to do. The command line prints it without a
    traceback and exits with status 2.
    """
