"""Draw what a model found on a copy of its image: boxes, masks, skeletons, top-5 bars.

Nothing is downloaded: the font is the one inside of Pillow. The entry points are `draw.draw_result`
and `draw.draw_row`; `encode` turns the picture into a file.
"""
