"""The public Python API; ``import snellen`` offers all of it, each part when it is used."""
