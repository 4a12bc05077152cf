"""Import of predictions that were made elsewhere, as a test run.

`prediction_file` reads a file of any format into `predicted.Predictions`; `image_keys` pairs them
with the images of the manifest; `import_worker` writes the result rows; `import_run` does all of it
through the steps of an ordinary run.
"""
