"""Open Inference Protocol, version 2 (KServe): the routes below ``/v2``."""
