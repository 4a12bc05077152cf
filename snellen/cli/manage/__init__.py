"""Commands that cancel, rename and delete."""
