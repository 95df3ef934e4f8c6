"""Small local substitutes for the APIs of Fivetran and Census, which change the real warehouse."""
