"""What reading a store can refuse."""

from data.errors import InputError


class DamagedStoreError(InputError):
    """Something recorded as whole is missing or does not match its checksum."""


class IncompleteStoreError(InputError):
    """What was asked for has not been computed."""
