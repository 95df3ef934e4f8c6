"""Small local stand-ins of Fivetran's and Census's APIs, with real effects on the warehouse."""
