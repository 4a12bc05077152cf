"""Result files: their schema, writing, and reading."""
