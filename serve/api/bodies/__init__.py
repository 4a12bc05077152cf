"""Bodies of the routes of runs, images, datasets and analyses, with the specification's names."""
