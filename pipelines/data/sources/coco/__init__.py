"""COCO JSON: its file, its images on disk, and its objects as ground truth."""
