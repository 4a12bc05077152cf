"""The ``snellen`` command."""
