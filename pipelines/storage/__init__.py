"""Files that do not lie on this machine: buckets and clusters behind an address like ``s3://``.

``address`` says which addresses there are, ``clients`` talks to them, ``remote_path`` is what the
rest of the pipeline holds in the place of a ``pathlib.Path``.
"""
