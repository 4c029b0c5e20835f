"""The command line: composes the other packages and holds no rules of its own."""
