"""Where audit events come from: files and standard input, the API server's webhook, log files that grow."""
