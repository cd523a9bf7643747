"""`madem monitor`: several boards at work, as they are seen from outside.

`run_state` holds what is known of a board, `jobs` has it work, `fleet` runs several side by side;
`tui` shows it in a terminal, `html` in a browser, `log` keeps it as lines of JSON.
"""
