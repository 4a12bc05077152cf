"""Draw predictions on a copy of an image: boxes, masks, skeletons, bars of the top five classes.

Nothing is downloaded: the font is the one inside of Pillow. `snellen.pipelines.tasks.render` is
the entry point; `encode` turns the picture into a file.
"""
