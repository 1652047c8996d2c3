"""What was written, made into what will run; every mistake on the way is told, and none hides another."""
