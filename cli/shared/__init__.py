"""Options, help, output and errors that several verbs share."""
