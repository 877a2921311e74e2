"""What survives a crash: the spool of received bodies, and the state of the engine and its sinks."""
