"""The base of the errors that a person can solve."""


class InputError(Exception):
    """Something that a person wrote or asked for cannot be used. The message says what is wrong, where, what to do."""

    exit_code = 1
    """The exit code of a command that it ends."""
