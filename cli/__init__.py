"""Translates command lines to calls of the engine, and errors to messages and exit codes.

May import `cam_cli`; nothing imports it."""
