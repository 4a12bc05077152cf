"""What is done to a unit: read, decode, preprocess, infer, make rows, write."""
