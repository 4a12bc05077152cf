"""Adapters: one interface for the models of every framework; images in, results out.

Importing this package is cheap: torch, timm and other frameworks are imported by the adapter
that needs them, when it is used.
"""
