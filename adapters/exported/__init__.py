"""Models in a file that another program runs: ONNX and TorchScript.

``model`` is what such a file says of itself, ``adapter`` what both adapters share, ``export`` how
the files are written.
"""
