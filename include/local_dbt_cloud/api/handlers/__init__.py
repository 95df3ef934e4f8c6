"""What each endpoint does, one module per noun: a call in, an answer out."""
