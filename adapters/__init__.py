"""A model behind one interface: whatever the framework, images go in and results come out.

Importing this package is cheap: torch, timm and other frameworks are imported by the adapter
that needs them, when it is used.
"""
