"""The comparison of two test runs, and the images and objects that changed."""
