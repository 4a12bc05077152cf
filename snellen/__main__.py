"""``python -m snellen`` is the ``snellen`` command."""

from snellen.cli.main import main

main()
