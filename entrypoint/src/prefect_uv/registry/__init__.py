"""Images in a registry or in a directory, read and written without an engine: names, logins, requests, blobs."""
