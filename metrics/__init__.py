"""What a set of results is worth: pure functions of results, without Ray, SQL or torch.

Import from the modules: ``metrics.registry`` (all metrics of a task), ``metrics.matching`` (one
image), ``metrics.slices`` (parts of a set), ``metrics.listing`` and ``metrics.classified`` (which
objects and images stand behind a number), ``metrics.image_errors`` (TIDE, image by image).
"""
