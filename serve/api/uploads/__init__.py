"""Uploads: read multipart bodies within limits, and clean the file names that clients send."""
