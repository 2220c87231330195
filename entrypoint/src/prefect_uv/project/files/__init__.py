"""The files of a project as their authors write them: read, never changed."""
