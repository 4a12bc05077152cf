"""The HTTP side: routes, schemas, problems, and what keeps strangers within bounds."""
