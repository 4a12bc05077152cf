"""Exported models: ONNX and TorchScript files, and how they are written.

``description`` is the JSON value that travels in a file, ``family`` what depends on the framework
that the model came from, ``adapter`` what the adapters of both formats share, ``writer`` the
export.
"""
