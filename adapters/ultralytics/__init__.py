"""YOLO models of Ultralytics (AGPL-3.0), the only package that imports it."""
