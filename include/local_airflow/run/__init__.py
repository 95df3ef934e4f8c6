"""`make run`: one Dag, end to end, in the terminal."""
