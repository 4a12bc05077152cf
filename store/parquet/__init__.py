"""Result files: schema, writing, reading."""
