"""Metrics of object detection, instance segmentation and pose estimation."""
