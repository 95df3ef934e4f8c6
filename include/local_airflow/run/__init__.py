"""``make run``: run one Dag, end to end, in the terminal."""
