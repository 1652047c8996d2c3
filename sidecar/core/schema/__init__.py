"""What the two YAML files may say.  Nothing here runs: ``compile`` turns it into what does."""
