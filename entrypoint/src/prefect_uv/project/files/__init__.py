"""The files of a project that its authors write. They are read, never changed."""
