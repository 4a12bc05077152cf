"""Implementation of the public Python API, which ``import snellen`` exposes lazily."""
