"""YOLO datasets: data.yaml, the images of its splits, and their label files."""
