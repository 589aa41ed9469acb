"""Options, output and errors that several verbs share."""
