"""What a run leaves behind: pictures, journal, table, the record of the run. Files that cannot lie."""
