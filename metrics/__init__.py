"""What a set of results is worth: pure functions of results, without Ray, SQL or torch.

Import from the modules: ``snellen.metrics.tasks`` (all metrics of a task),
``snellen.metrics.parity.image_matching`` (one
image), ``metrics.slices`` (parts of a set), ``snellen.metrics.errors.listing`` and
``snellen.metrics.errors.classified`` (which
objects and images stand behind a number), ``snellen.metrics.parity.image_errors`` (TIDE, image by
image).
"""
