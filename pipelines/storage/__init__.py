"""Remote files: buckets and clusters behind an address such as ``s3://bucket/folder``.

``address`` checks addresses, ``clients`` talks to the storage, and ``remote_path`` is the remote
counterpart of ``pathlib.Path`` for the rest of the pipelines.
"""
