"""Label suspects: labels that the compared models deny, and objects that are not labelled."""
