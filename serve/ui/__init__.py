"""Web pages: templates, their data, and static files; served by the application of the API."""
