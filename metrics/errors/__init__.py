"""The images and objects behind a number: TIDE's buckets and cells of confusion matrices."""
