"""How a package's modules get their names: by the directories that contain them, or only by a build."""
