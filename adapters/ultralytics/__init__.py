"""Adapter of Ultralytics' YOLO models; the only package that imports ultralytics (AGPL-3.0)."""
