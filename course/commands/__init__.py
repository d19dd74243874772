"""The command line's commands, a module a group; `cli.py` loads each when it is asked for."""
