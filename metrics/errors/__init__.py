"""List the images and objects behind a number."""
