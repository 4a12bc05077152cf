"""What a set of results is worth: pure functions of results, without Ray, SQL or torch.

Import from the modules: ``metrics.classification``, ``metrics.registry``.
"""
